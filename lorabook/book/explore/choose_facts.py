"""What each contender of the arena can do, found by trying: merge, and be read by other programs."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import torch
from torch import nn

from lorabook.arena.method import Adapter, BottleneckAdapters, Method, PrefixTuning
from lorabook.arena.methods import METHODS
from lorabook.axes.base.qlora import QLoRA
from lorabook.core.merge import merge
from lorabook.models.decoder import Decoder, DecoderConfig
from lorabook.saving.peft import writing
from lorabook.saving.record import record
from lorabook.saving.servers import Reader, llama_cpp, vllm

SHAPE = DecoderConfig(vocab=32, hidden=64, layers=1, heads=2, kv_heads=2, d_head=32, ffn=64, context=64, tied=False)
RANK = 8
MERGED, PEFT, VLLM, LLAMA_CPP, HERE = "merged into W₀", "PEFT", "vLLM", "llama.cpp", "this book"
READERS: dict[str, Reader | None] = {PEFT: None, VLLM: vllm, LLAMA_CPP: llama_cpp}
"""Who reads an adapter's files, and what he asks of them beyond that PEFT can write them."""


@dataclass(frozen=True)
class Facts:
    """A contender, and by what one may want of it why it cannot be had; what can be had is not in `obstacles`."""

    name: str
    obstacles: dict[str, str]


@cache
def facts() -> tuple[Facts, ...]:
    """Try every contender that one may take instead of LoRA at an equal number of trained parameters."""
    return tuple(Facts(method.name, dict(_tried(method))) for method in contenders())


def contenders() -> Iterator[Method]:
    """Return the arena's single variants and the two baselines that are no update of a matrix."""
    for method in METHODS:
        if isinstance(method, Adapter) and method.sizes and QLoRA().base != method.recipe(RANK).base:
            yield method
        elif isinstance(method, BottleneckAdapters | PrefixTuning):
            yield method


def _tried(method: Method) -> Iterator[tuple[str, str]]:
    """Yield what cannot be had of it, and why."""
    try:
        merge(_prepared(method))
    except ValueError:
        yield MERGED, "no matrix stands for it"
        yield from ((reader, "no update of a matrix") for reader in READERS)
        return
    yield from unread(_prepared(method)).items()


def unread(model: nn.Module) -> dict[str, str]:
    """Return who cannot read the adapter of this model from PEFT's files, and why."""
    adapter = record(model)
    why = writing.obstacle(adapter, model)
    if why is not None:
        return dict.fromkeys(READERS, why)
    options, tensors, _ = writing.encode(adapter, model, None)
    found = {name: reader(options, tensors) for name, reader in READERS.items() if reader is not None}
    return {name: why for name, why in found.items() if why is not None}


def _prepared(method: Method) -> nn.Module:
    model = Decoder(SHAPE)
    method.prepare(model, "_proj", RANK, torch.Generator().manual_seed(0))
    return model
