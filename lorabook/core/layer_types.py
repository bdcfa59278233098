"""Which layers are one matrix: the table from a layer's type to its `Frozen`."""

import sys

from torch import nn

from lorabook.core.conv2d import FrozenConv2d
from lorabook.core.embedding import FrozenEmbedding
from lorabook.core.frozen import Frozen, UnsupportedLayer
from lorabook.core.linear import FrozenLinear
from lorabook.core.transformers_conv1d import FrozenConv1D

LAYER_TYPES: dict[type, type[Frozen]] = {
    nn.Linear: FrozenLinear,
    nn.modules.linear.NonDynamicallyQuantizableLinear: FrozenLinear,  # nn.MultiheadAttention.out_proj
    nn.Conv2d: FrozenConv2d,
    nn.Embedding: FrozenEmbedding,
}


def freeze(layer: nn.Module, name: str = "layer") -> Frozen:
    """Return the `Frozen` view of a plain layer, sharing its memory.

    Raises:
        UnsupportedLayer: the exact type of `layer` is none of Linear, Conv2d, Embedding, transformers' Conv1D. A
            subclass may compute something else, so it is not guessed at.
    """
    frozen = _frozen_type(layer)
    if frozen is not None:
        return frozen(layer)
    raise UnsupportedLayer(
        f"{name} is a {type(layer).__module__}.{type(layer).__name__}, which is not one of Linear, Conv2d, Embedding "
        "or transformers' Conv1D: choose targets that leave it out"
    )


def reads_rows(layer: nn.Module) -> bool:
    """Say whether a layer is a linear one: each vector along the last axis of its input goes through W₀."""
    frozen = _frozen_type(layer)
    return frozen is not None and frozen.reads_vectors


def _frozen_type(layer: nn.Module) -> type[Frozen] | None:
    gpt2 = sys.modules.get("transformers.pytorch_utils")  # imported already, if the model uses it
    if gpt2 is not None and type(layer) is gpt2.Conv1D:
        return FrozenConv1D
    return LAYER_TYPES.get(type(layer))
