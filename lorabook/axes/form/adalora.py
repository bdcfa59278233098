"""PΛQ: AdaLoRA's form, an update written like a singular value decomposition."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lorabook.core.frozen import Frozen
from lorabook.core.recipe import Factors, LayerSpec, Recipe
from lorabook.core.update import Update, refuse_without_whole_w0


class PLQ(Update):
    """W = W₀ + s·PΛQ, with P: d_out × r, Λ diagonal (starts at 0), Q: r × d_in.

    One λ can be set to zero and its direction comes back when λ does: that is why the allocator masks λ, not rows of a
    factor. P and Q are only *pulled* towards orthogonality by a penalty; nothing here makes them orthogonal.
    Q is kept under the letter A and P under B, so that every form has its factors in the same place.

    Source: Zhang et al. 2023 (2303.10512), equation 3.
    """

    def __init__(self, base: Frozen, factors: Factors, spec: LayerSpec) -> None:
        super().__init__()
        self.A, self.B = nn.Parameter(factors.A), nn.Parameter(factors.B)
        self.E = nn.Parameter(factors.A.new_zeros(spec.r, 1))
        self.s = spec.scale
        self.drop = nn.Dropout(spec.dropout)

    def weight(self, w0: Float[Tensor, "d_out d_in"]) -> Float[Tensor, "d_out d_in"]:
        return w0 + self.s * (self.B @ (self.E * self.A))

    def forward(self, base: Frozen, x: Tensor) -> Tensor:
        return base.two_paths(x, self.drop(x), self.E * self.A, self.B, self.s, base.bias)

    def orthogonality(self) -> Float[Tensor, ""]:
        """Return ‖PᵀP − I‖² + ‖QQᵀ − I‖², squared Frobenius norms (equation 4)."""
        eye = torch.eye(len(self.A), device=self.A.device, dtype=self.A.dtype)
        return (self.B.T @ self.B - eye).square().sum() + (self.A @ self.A.T - eye).square().sum()


@dataclass(frozen=True)
class AdaLoRAForm:
    """AdaLoRA's value on the form axis."""

    def build(self, base: Frozen, factors: Factors, spec: LayerSpec) -> PLQ:
        return PLQ(base, factors, spec)

    def trains(self, base: Frozen, r: int) -> tuple[str, ...]:
        return ("A", "B", "E")

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        refuse_without_whole_w0("PΛQ", name, recipe)

    def largest_r(self, d_out: int, d_in: int) -> int | None:
        return min(d_out, d_in)

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return r * (d_in + d_out + 1)
