"""What one decoder layer keeps for its backward pass, tensor by tensor: as autograd really stores it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lorabook.cost import kept
from lorabook.models.decoder import Layer, rotations
from lorabook.models.recompute import Recomputed

READ_BY = {
    "input_layernorm": kept.H,
    "self_attn.q_proj": kept.X_ATTENTION,
    "self_attn.o_proj": kept.OUT,
    "post_attention_layernorm": kept.MIDDLE,
    "mlp.gate_proj": kept.X_MLP,
    "mlp.down_proj": kept.X_DOWN,
}
"""A row is the input of this module."""
STORED_IN = {
    "input_layernorm": kept.H,
    "post_attention_layernorm": kept.MIDDLE,
    "self_attn": kept.Q_K_V,
    "mlp": kept.MLP,
}
"""What is no module's input belongs to the row of the innermost of these that stored it."""


class _Watch:
    """The storages that pass through a layer: which row each is, and which of them autograd stores."""

    def __init__(self) -> None:
        self.row: dict[int, str] = {}
        self.stored: dict[int, tuple[torch.UntypedStorage, str]] = {}
        self.held: list[Tensor] = []  # while they live, no address is given out twice
        self.inside: list[str] = []

    def name(self, tensor: Tensor, row: str) -> None:
        self.held.append(tensor.detach())
        self.row.setdefault(tensor.untyped_storage().data_ptr(), row)

    def pack(self, tensor: Tensor) -> Tensor:
        owner = tensor if tensor._base is None else tensor._base
        if not isinstance(owner, nn.Parameter):
            storage = tensor.untyped_storage()
            self.stored.setdefault(storage.data_ptr(), (storage, self.inside[-1] if self.inside else kept.H))
        return tensor.detach()  # as in `saved_bytes`

    def enter(self, name: str, module: nn.Module) -> Callable:
        def hook(_: nn.Module, inputs: tuple) -> None:
            if name in READ_BY:
                self.name(inputs[0], READ_BY[name])
            self.inside.append(_row_inside(name, module, self.inside))

        return hook

    def leave(self, module: nn.Module) -> Callable:
        def hook(_: nn.Module, inputs: tuple, output: Tensor) -> None:
            self.inside.pop()
            if isinstance(module, nn.Dropout) and output is not inputs[0]:
                self.name(output, kept.DROPPED)

        return hook


def _row_inside(name: str, module: nn.Module, around: list[str]) -> str:
    if isinstance(module, nn.Dropout):
        return kept.MASKS
    if name.endswith("_proj"):
        return kept.AX
    return STORED_IN.get(name, around[-1] if around else kept.H)


@contextmanager
def _watched(layer: Layer) -> Iterator[_Watch]:
    watch, handles = _Watch(), []
    for name, module in layer.named_modules():
        handles += [
            module.register_forward_pre_hook(watch.enter(name, module)),
            module.register_forward_hook(watch.leave(module)),
        ]
    try:
        yield watch
    finally:
        for handle in handles:
            handle.remove()


def kept_bytes(layer: Layer, h: Tensor, *, checkpointing: bool = False) -> dict[str, int]:
    """Measure the bytes that each row keeps after a forward pass of `layer` on h (batch × length × hidden).

    A storage counts once and whole, as in `saved_bytes`; h counts too: it is the layer's own to keep.

    Args:
        checkpointing: whether the layer is recomputed when its gradient is due.
    """
    # What the angles are does not matter to how many bytes they lead to.
    cos, sin = rotations(h.shape[1], layer.self_attn.d_head, theta=1e4, device=h.device)
    beside = {tensor.untyped_storage().data_ptr() for tensor in (cos, sin, *layer.buffers())}
    run = Recomputed(layer) if checkpointing else layer
    with _watched(layer) as watch, torch.autograd.graph.saved_tensors_hooks(watch.pack, lambda tensor: tensor):
        result = run(h, cos, sin)
    rows = dict.fromkeys((*kept.ALWAYS, *kept.TRAINED), 0)
    for address, (storage, inside) in watch.stored.items():
        if address not in beside:
            rows[watch.row.get(address, inside)] += storage.nbytes()
    del result
    return rows
