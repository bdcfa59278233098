"""DoRA: train the length of each row of W apart from its direction."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lorabook.core.finite import refuse_not_finite
from lorabook.core.frozen import Frozen
from lorabook.core.recipe import Factors, LayerSpec, Recipe
from lorabook.core.update import Update


class RowScaled(Update):
    """W = m ⊙ V/‖V‖ with V = W₀ + s·BA, one norm and one m for each row of W; m starts at ‖V‖.

    The norm is held constant in the backward pass (section 4.3 of the paper). The paper writes "column" because its W
    is the transpose of torch's; the number is one per *output* either way. The bias is not scaled.

    Raises:
        ValueError: a row of V is zero at the start: it has no direction.

    Source: Liu et al. 2024 (2402.09353), equations 5 and 11.
    """

    derived: ClassVar = frozenset({"w0_lengths"})

    def __init__(self, base: Frozen, factors: Factors, spec: LayerSpec) -> None:
        super().__init__()
        self.A, self.B = nn.Parameter(factors.A), nn.Parameter(factors.B)
        self.s = spec.scale
        self.drop = nn.Dropout(spec.dropout)
        w0 = base.matrix
        lengths = self._v(w0).detach().norm(dim=1)
        _refuse_zero_rows(lengths, spec.name)
        self.m = nn.Parameter(lengths)
        # Lengths, not squares: a cast rounds them as it rounds m, so that m/‖V‖ stays 1, and no square leaves fp16.
        self.register_buffer("w0_lengths", w0.norm(dim=1))

    def _v(self, w0: Float[Tensor, "d_out d_in"]) -> Float[Tensor, "d_out d_in"]:
        return w0 + self.s * (self.B @ self.A)

    def weight(self, w0: Float[Tensor, "d_out d_in"]) -> Float[Tensor, "d_out d_in"]:
        v = self._v(w0)
        return (self.m / v.detach().norm(dim=1))[:, None] * v

    @torch.no_grad()
    def row_norms(self, w0: Float[Tensor, "d_out d_in"]) -> Float[Tensor, " d_out"]:
        """Return ‖V_i‖ = √(‖W₀_i‖² + 2s·B_i·(W₀Aᵀ)_i + s²·B_i(AAᵀ)B_iᵀ), without ever forming V.

        In float32 at least: rounded to 16 bits it would move every row by up to 0.4%, which no training asked for.
        """
        exact = torch.promote_types(w0.dtype, torch.float32)
        lengths, b = self.w0_lengths.to(exact), self.B.to(exact)
        cross = ((w0 @ self.A.T.to(w0.dtype)).to(exact) * b).sum(1)
        square = ((self.B @ (self.A @ self.A.T)).to(exact) * b).sum(1)
        # Detached as well: forward-mode derivatives do not ask whether gradients are on.
        return (lengths.square() + 2 * self.s * cross + self.s**2 * square).clamp_min(0).sqrt().detach()

    def forward(self, base: Frozen, x: Tensor) -> Tensor:
        vx = base.two_paths(x, self.drop(x), self.A, self.B, self.s)
        y = base.add_bias(base.per_row(self.m / self.row_norms(base.matrix)) * vx)
        return y.to(vx.dtype)  # under autocast too a layer answers in the dtype of its product


@dataclass(frozen=True)
class DoRAForm:
    """DoRA's value on the form axis."""

    def build(self, base: Frozen, factors: Factors, spec: LayerSpec) -> RowScaled:
        return RowScaled(base, factors, spec)

    def trains(self, base: Frozen, r: int) -> tuple[str, ...]:
        return ("A", "B", "m")

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        """Refuse a layer with a row that has no length or no direction."""
        refuse_not_finite(
            f"{name}.weight", base.matrix, "their row has no length. Repair it, or use LoRA on this layer"
        )
        _refuse_zero_rows(base.matrix.norm(dim=1), name)

    def largest_r(self, d_out: int, d_in: int) -> int | None:
        return min(d_out, d_in)

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return r * (d_in + d_out) + d_out


def _refuse_zero_rows(lengths: Float[Tensor, " d_out"], name: str) -> None:
    zero = (lengths == 0).nonzero().flatten().tolist()
    if zero:
        raise ValueError(
            f"DoRA: row {zero[0]} of {name} is all zeros ({len(zero)} of {len(lengths)} rows are), and has no "
            "direction: V/‖V‖ would be 0/0. Leave this layer out of the targets, or use LoRA on it"
        )


def DoRA(r: int | None = None, alpha: float | None = None, dropout: float | None = None) -> Recipe:
    """Weight-decomposed low-rank adaptation: W = m ⊙ (W₀ + s·BA)/‖W₀ + s·BA‖, row by row."""
    return Recipe(r, alpha, dropout, form=DoRAForm(), names=frozenset({"DoRA"}))
