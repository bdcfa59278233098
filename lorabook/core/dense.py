"""The plain store: W₀ stays the tensor it is. This is what LoRA does."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lorabook.core.recipe import Recipe
from lorabook.core.store import Store


class Dense(Store):
    """W₀ itself, sharing the memory of the layer it came from (a view where the layer stores it transposed)."""

    def __init__(self, w0: Float[Tensor, "d_out d_in"]) -> None:
        super().__init__()
        self.register_buffer("w0", w0.detach())

    def dense(self) -> Float[Tensor, "d_out d_in"]:
        return self.w0

    @property
    def shape(self) -> torch.Size:
        return self.w0.shape

    @property
    def dtype(self) -> torch.dtype:
        return self.w0.dtype

    @property
    def device(self) -> torch.device:
        return self.w0.device


@dataclass(frozen=True)
class DenseStorage:
    """LoRA's value on the base axis."""

    def build(self, w0: Float[Tensor, "d_out d_in"]) -> Dense:
        return Dense(w0)

    def refuse(self, name: str, base: nn.Module, recipe: Recipe, model: nn.Module) -> None:
        """Every layer and every other axis suits."""

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return 0
