"""The matrices that a contender changes: what they are in a model, whatever was put on them."""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from lorabook.core.adapted_layer import Adapted
from lorabook.core.layer_types import freeze
from lorabook.core.lora import ORIGIN, LoRA
from lorabook.core.targets import find_targets


def target_names(base: nn.Module, targets: str) -> list[str]:
    """Return the names of the layers that a contender adapts."""
    return [target.name for target in find_targets(base, targets, LoRA(1).complete(ORIGIN))]


@torch.no_grad()
def effective(model: nn.Module, names: Iterable[str]) -> dict[str, Tensor]:
    """Return a copy of the effective matrix of each of these layers, adapted or plain."""
    return {name: _matrix(model.get_submodule(name)).detach().clone() for name in names}


def _matrix(layer: nn.Module) -> Tensor:
    if isinstance(layer, Adapted):
        return layer.update.weight(layer.base.matrix)
    return freeze(copy.deepcopy(layer)).matrix
