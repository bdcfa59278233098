"""What the decision explorer says of a plan: why each part is in it, whether it fits, and who was measured ahead."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache

import torch

from lorabook.arena.answers import Compared
from lorabook.axes.attention.longlora import LongLoRA
from lorabook.book.explore.choose_facts import HERE, MERGED, SHAPE, VLLM, unread
from lorabook.book.explore.choose_plan import AT_HAND, IN_TURN, OPEN, PRIVATE, SERVED, Means, Need
from lorabook.core.inject import inject
from lorabook.core.recipe import Recipe
from lorabook.cost.count import LLAMA
from lorabook.many.federated import DPDyLoRA
from lorabook.models.decoder import Decoder

VLLM_RANK = 16
"""vLLM's `max_lora_rank` unless told otherwise."""
OF_A_JOB = {
    IN_TURN: "O-LoRA keeps a task's A apart from the earlier ones. They are merged: W₀ stays in 16 bits (chapter 22).",
    SERVED: "An adapter for each task beside one base (S-LoRA, chapter 24).",
    AT_HAND: "LoRAHub weighs your adapters by a few examples. Nothing trains (chapter 23).",
    PRIVATE: "DP-DyLoRA clips and noises what the owners send, and counts ε (chapter 25).",
}


def why(need: Need, means: Means, measured: Mapping[str, Compared]) -> Iterator[str]:
    """Yield a reason for each part of a plan, with the chapter that has more, and what stands against it."""
    if means.four_bits:
        told = measured.get("QLoRA")
        loss = f" QLoRA in the arena: {told.says}." if told else ""
        yield f"W₀ in four bits, or it does not fit (chapter 10).{loss}"
    if means.again:
        yield "Activations are made again for backward: one more forward pass (chapter 07)."
    if need.longer:
        yield f"The model knows {LLAMA[need.model].context:,} tokens. Positions interpolated, LongLoRA (chapter 21)."
    if need.job in OF_A_JOB:
        yield OF_A_JOB[need.job]
    if need.rank == OPEN and need.job != AT_HAND:
        yield f"Train rank {OPEN}, and cut it by the SVD when you know (chapter 18)."
    yield from _against(need)


def _against(need: Need) -> Iterator[str]:
    if need.job == SERVED and need.goes == MERGED:
        yield "But a merged model serves one task: this makes a whole copy of it for each."
    refused = refusals(need.longer, need.job == PRIVATE).get(need.goes)
    if refused is not None:
        yield f"But {refused}: merge, and serve the whole model."
    elif need.goes == VLLM and need.rank > VLLM_RANK:
        yield f"vLLM must be told max_lora_rank={need.rank}."


@cache
def refusals(longer: bool, private: bool) -> dict[str, str]:
    """Return who cannot read a plan's adapter, and why, by trying it on a small model."""
    recipe = (LongLoRA(8) if longer else Recipe()) | (DPDyLoRA() if private else Recipe())
    model = Decoder(SHAPE)
    inject(model, recipe, "self_attn" if longer else "_proj", torch.Generator().manual_seed(0))
    return unread(model)


def sentence(need: Need, means: Means, gib: float, there: int) -> str:
    """Say what is taken, and whether it fits."""
    name = ("QLoRA" if means.four_bits else "LoRA") + (" with checkpointing" if means.again else "")
    if need.job == AT_HAND:
        name = "Mixing adapters on a base in four bits" if means.four_bits else "Mixing adapters"
    return (
        f"{name} needs {gib:.1f} GiB of {there}." if gib <= there else f"Even {name} needs {gib:.1f} GiB, not {there}."
    )


def ahead(need: Need, remain: Sequence[str], of: int, measured: Mapping[str, Compared]) -> str:
    """Say how many contenders remain, and which of them was measured better than LoRA."""
    better = [name for name in remain if name in measured and measured[name].says == "better"]
    where = {MERGED: "can be merged", HERE: "run here"}.get(need.goes, f"can go to {need.goes}")
    told = f"better than LoRA was {', '.join(better)}" if better else "none of them was measured better than LoRA"
    return f"{len(remain)} of {of} contenders {where}; {told}."
