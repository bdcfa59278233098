"""The effective weight of an adapted layer, built only when a number of it is really read.

Models ask a layer for `layer.weight.dtype` or `.device` in every forward pass; other code hands `layer.weight` to a
torch function and means the weight in use. Both must be right, and the first must cost nothing.
"""

import torch
from torch import Tensor
from torch.utils import _pytree as tree


class EffectiveWeight:
    """Behaves as the tensor W in torch functions and in tensor methods; knows dtype, device and shape without it."""

    def __init__(self, layer: "torch.nn.Module") -> None:
        self._layer = layer

    @property
    def dtype(self) -> torch.dtype:
        return self._layer.base.store.dtype

    @property
    def device(self) -> torch.device:
        return self._layer.base.store.device

    @property
    def shape(self) -> torch.Size:
        # On the meta device a matrix has a shape and no numbers.
        empty = torch.empty(self._layer.base.store.shape, device="meta")
        return self._layer.base.native(empty).shape

    def tensor(self) -> Tensor:
        """Return W as a tensor, laid out like the plain layer's weight; gradients flow to the update."""
        return self._layer.base.native(self._layer.matrix())

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        def built(x):
            return x.tensor() if isinstance(x, cls) else x

        return function(*tree.tree_map(built, args), **tree.tree_map(built, kwargs or {}))

    def __getattr__(self, name: str):
        if name in ("_layer", "__deepcopy__", "__setstate__"):  # a copy is being made: it has no W yet, and needs none
            raise AttributeError(name)
        return getattr(self.tensor(), name)

    def __repr__(self) -> str:
        return f"EffectiveWeight({self.tensor()!r})"
