"""Gradient checkpointing: keep a layer's input, and compute the layer again when its gradient is due."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lorabook.models.decoder import Decoder


class Recomputed(nn.Module):
    """A layer that keeps its inputs only. Its second forward pass sees the same dropout as the first."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, *inputs: Tensor) -> Tensor:
        return checkpoint(self.layer, *inputs, use_reentrant=False)


@contextmanager
def recomputed(model: Decoder) -> Iterator[Decoder]:
    """Checkpoint every layer of a decoder inside the block.

    Memory: layers · input + one layer's activations, in place of layers · activations; about one forward pass more.

    Source: Chen, Xu, Zhang, Guestrin 2016 (1604.06174), section 4.
    """
    layers = model.layers
    model.layers = nn.ModuleList(Recomputed(layer) for layer in layers)
    try:
        yield model
    finally:
        model.layers = layers
