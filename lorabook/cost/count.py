"""Count what a model and its adapters cost: parameters, floating-point operations, bytes kept for backward.

Everything here is arithmetic over shapes, or a measurement of a call that you pass in. Nothing is estimated.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import nn

from lorabook.core.whole_number import refuse_unless_whole
from lorabook.models.decoder import DecoderConfig


def _llama(hidden: int, layers: int, heads: int, kv_heads: int, ffn: int, context: int) -> DecoderConfig:
    return DecoderConfig(
        vocab=32000, hidden=hidden, layers=layers, heads=heads, kv_heads=kv_heads, d_head=hidden // heads, ffn=ffn,
        context=context, tied=False,
    )  # fmt: skip


LLAMA: dict[str, DecoderConfig] = {
    "7B": _llama(4096, 32, 32, 32, 11008, 2048),
    "13B": _llama(5120, 40, 40, 40, 13824, 2048),
    "33B": _llama(6656, 60, 52, 52, 17920, 2048),
    "65B": _llama(8192, 80, 64, 64, 22016, 2048),
    "70B": _llama(8192, 80, 64, 8, 28672, 4096),
}
"""The published shapes: arXiv 2302.13971, table 2 (7B to 65B), and Llama 2's 70B, arXiv 2307.09288 (8 kv heads)."""

SMOLLM2 = DecoderConfig(
    vocab=49152, hidden=576, layers=30, heads=9, kv_heads=3, d_head=64, ffn=1536, context=8192, tied=True
)
"""SmolLM2-135M, the book's GPU-sized model. Source: its published config.json."""


def layer_matrices(config: DecoderConfig) -> dict[str, tuple[int, int]]:
    """Return (d_out, d_in) of the seven matrices of one layer, by their names inside the layer."""
    queries, keys = config.heads * config.d_head, config.kv_heads * config.d_head
    return {
        "self_attn.q_proj": (queries, config.hidden),
        "self_attn.k_proj": (keys, config.hidden),
        "self_attn.v_proj": (keys, config.hidden),
        "self_attn.o_proj": (config.hidden, queries),
        "mlp.gate_proj": (config.ffn, config.hidden),
        "mlp.up_proj": (config.ffn, config.hidden),
        "mlp.down_proj": (config.hidden, config.ffn),
    }


def matched(config: DecoderConfig, targets: str) -> dict[str, tuple[int, int]]:
    """Return those of a layer's seven matrices whose name `targets`, a regular expression, finds.

    Raises:
        ValueError: `targets` finds none of the seven names.
    """
    shapes = layer_matrices(config)
    chosen = {name: shape for name, shape in shapes.items() if re.search(targets, name)}
    if not chosen:
        raise ValueError(f"targets={targets!r} matches none of {', '.join(shapes)}: name at least one of them.")
    return chosen


def linear_parameters(config: DecoderConfig) -> int:
    """Count the entries of all adapted-or-quantised matrices: layers · Σ d_out·d_in over the seven of a layer."""
    return config.layers * sum(d_out * d_in for d_out, d_in in layer_matrices(config).values())


def decoder_parameters(config: DecoderConfig) -> int:
    """Count a decoder: its matrices, two norm gains a layer and a last one, the embedding, and the head if untied."""
    norms = (2 * config.layers + 1) * config.hidden
    tables = (1 if config.tied else 2) * config.vocab * config.hidden
    return linear_parameters(config) + norms + tables


def lora_parameters(config: DecoderConfig, r: int, targets: str) -> int:
    """Count LoRA's trainable numbers: layers · Σ r·(d_in + d_out) over the targets of a layer.

    Raises:
        ValueError: r < 1, or `targets` matches nothing.

    Source: arXiv 2106.09685, section 4.2.
    """
    refuse_unless_whole("rank r", r)
    return config.layers * sum(r * (d_out + d_in) for d_out, d_in in matched(config, targets).values())


def parameters(model: nn.Module) -> int:
    """Count the parameters of a model, trainable or not, a tied one once."""
    return sum(p.numel() for p in model.parameters())


def trainable(model: nn.Module) -> int:
    """Count the parameters of a model that ask for a gradient."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@dataclass(frozen=True)
class Flops:
    """Floating-point operations of one linear layer; a multiply and an add are two."""

    forward: int
    backward: int


def two_path_flops(rows: int, d_out: int, d_in: int, r: int) -> Flops:
    """Count W₀x + s·B(Ax) on `rows` positions with W₀ frozen.

    forward 2n·d_out·d_in + 2n·r(d_in + d_out); backward the same W₀ product for ∂L/∂x, and each of
    ∂L/∂A, ∂L/∂B and the two factors' share of ∂L/∂x once: 2n·d_out·d_in + 4n·r(d_in + d_out).
    """
    base, path = 2 * rows * d_out * d_in, 2 * rows * r * (d_in + d_out)
    return Flops(base + path, base + 2 * path)


def materialised_flops(rows: int, d_out: int, d_in: int, r: int) -> Flops:
    """Count (W₀ + s·BA)x on `rows` positions with W₀ frozen: the sum is built, then used.

    forward 2n·d_out·d_in + 2r·d_out·d_in; backward ∂L/∂W and ∂L/∂x, then ∂L/∂A and ∂L/∂B from ∂L/∂W:
    4n·d_out·d_in + 4r·d_out·d_in.
    """
    product, build = 2 * rows * d_out * d_in, 2 * r * d_out * d_in
    return Flops(product + build, 2 * product + 2 * build)


def saved_bytes(call: Callable[[], object], besides: Iterable[torch.Tensor] = ()) -> int:
    """Measure the bytes that `call` makes autograd keep for its backward pass.

    A storage counts once and whole, because one saved view keeps all of it alive. Parameters live on anyway and do not
    count; nor do the storages of `besides` (the input, the buffers of a frozen layer).
    """
    alive = {tensor.untyped_storage().data_ptr() for tensor in besides}
    kept: dict[int, torch.UntypedStorage] = {}  # holding a storage keeps its address from being given out twice

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        owner = tensor if tensor._base is None else tensor._base
        if not isinstance(owner, nn.Parameter):
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor.detach()  # a node that holds its own output, with its graph, is never freed

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = call()
    total = sum(storage.nbytes() for address, storage in kept.items() if address not in alive)
    del result
    return total


def product_flops(onto: torch.Size, left: torch.Size, right: torch.Size, **_: object) -> int:
    """Count onto + left·right, one product or a batch of them, from the shapes: 2·m·k·n for each."""
    return 2 * left.numel() * right[-1]


def measured_flops(call: Callable[[], object]) -> int:
    """Count the floating-point operations of every matrix product that `call` runs; a multiply and an add are two."""
    from torch.utils.flop_counter import FlopCounterMode

    # torch's counter knows addmm and baddbmm, and not the same products added in place.
    in_place = dict.fromkeys((torch.ops.aten.addmm_, torch.ops.aten.baddbmm_), product_flops)
    with FlopCounterMode(display=False, custom_mapping=in_place) as counter:
        call()
    return counter.get_total_flops()
