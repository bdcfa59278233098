"""What a plain layer is besides its matrix and bias: its type, its attributes, and the hooks that hang on it."""

from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

HOOKS = (
    "_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called", "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs", "_backward_hooks", "_backward_pre_hooks", "_is_full_backward_hook",
)  # fmt: skip
"""Where torch keeps the hooks that run when a module is called, and when its gradient is due."""

NAMES_OF_EVERY_MODULE = frozenset(vars(nn.Module()))


def attributes_of(layer: nn.Module) -> dict[str, Any]:
    """Return what a layer has beyond every module: in_features, stride, padding_idx, and what its model hung on it.

    Not its own forward: whoever patched it and took the patch off has left that bound to this very layer.
    """
    own = {name: value for name, value in vars(layer).items() if name not in NAMES_OF_EVERY_MODULE}
    if own.get("forward") == MethodType(type(layer).forward, layer):
        del own["forward"]
    return own


def tensors_of(layer: nn.Module) -> dict[str, Tensor | None]:
    """Return a layer's parameters and buffers: a weight that never trained may be either."""
    return {**layer._parameters, **layer._buffers}


def hand_over_hooks(old: nn.Module, new: nn.Module) -> None:
    """Let the hooks of one module run for another that stands in its place.

    Both hold the very same tables, so that a handle from before still removes its hook.
    """
    for name in HOOKS:
        vars(new)[name] = vars(old)[name]


class LayerShell:
    """A plain layer without its numbers: what is needed to make one like it."""

    def __init__(self, layer: nn.Module) -> None:
        self.layer_type = type(layer)
        self.attributes = attributes_of(layer)
        self.has_bias = "bias" in tensors_of(layer)

    def holding(self, weight: Tensor, bias: Tensor | None) -> nn.Module:
        """Return a frozen layer like the first, over the memory of these tensors, which have the layer's own layout."""
        # Not by the constructor: it would draw numbers, and a layer may have been changed since it was built.
        layer = self.layer_type.__new__(self.layer_type)
        nn.Module.__init__(layer)
        vars(layer).update(self.attributes)
        layer.register_parameter("weight", _frozen(weight))
        if self.has_bias:
            layer.register_parameter("bias", None if bias is None else _frozen(bias))
        return layer


def _frozen(numbers: Tensor) -> nn.Parameter:
    return nn.Parameter(numbers.detach(), requires_grad=False)


def copied(numbers: Tensor | None) -> Tensor | None:
    """Return the same numbers in memory of their own, laid out row after row."""
    return None if numbers is None else torch.clone(numbers.detach(), memory_format=torch.contiguous_format)
