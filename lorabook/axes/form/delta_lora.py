"""Delta-LoRA's form: the frozen matrix follows the adapter, and no gradient knows."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lorabook.core.frozen import Frozen
from lorabook.core.recipe import AxisConflict, Factors, LayerSpec, Recipe
from lorabook.core.update import Update, refuse_without_whole_w0


class Drifting(Update):
    """W = W₀ + s·BA + λ·s·(BA − B_KA_K), the last term without a gradient: W₀ after the moves of Delta-LoRA.

    The paper adds λ·s·(B_{t+1}A_{t+1} − B_tA_t) to W₀ after every step t ≥ K. With a constant λ these moves telescope,
    so W₀ itself need not be touched: it may be quantised, and the adapter's file holds all that changed. Until step K
    `moving` is 0, and B_K, A_K are set then.

    Source: Zi et al. 2023 (2309.02411), equation 6.
    """

    def __init__(self, base: Frozen, factors: Factors, spec: LayerSpec, rate: float) -> None:
        super().__init__()
        self.A, self.B = nn.Parameter(factors.A), nn.Parameter(factors.B)
        self.register_buffer("A_K", factors.A.clone())
        self.register_buffer("B_K", factors.B.clone())
        self.register_buffer("moving", factors.A.new_zeros(()))
        self.s, self.rate = spec.scale, rate

    @torch.no_grad()
    def start(self) -> None:
        """Let W₀ follow from now on: this is step K."""
        self.A_K.copy_(self.A)
        self.B_K.copy_(self.B)
        self.moving.fill_(1)

    def weight(self, w0: Float[Tensor, "d_out d_in"]) -> Float[Tensor, "d_out d_in"]:
        moved = (self.B @ self.A).detach() - self.B_K @ self.A_K
        return w0 + self.s * (self.B @ self.A) + self.moving * self.rate * self.s * moved

    def forward(self, base: Frozen, x: Tensor) -> Tensor:
        # W = W₀ + (1 + λ)s·BA − λs·B_KA_K, where A and B learn as in s·BA alone. No matrix is made, so none is kept.
        rate = self.moving * self.rate
        a, b = (_learning_at(1 / (1 + rate), p) for p in (self.A, self.B))
        y = base.up_project(self.s * (1 + rate) * base.down_project(x, a), b, onto=base.times_w0(x, base.bias))
        return base.up_project(-self.s * rate * base.down_project(x, self.A_K), self.B_K, onto=y)


def _learning_at(share: Tensor, p: Tensor) -> Tensor:
    """Return the same numbers, bit for bit (the second term is zero), whose gradient is `share` times as large."""
    return p.detach() + share * (p - p.detach())


@dataclass(frozen=True)
class DeltaLoRAForm:
    """Delta-LoRA's value on the form axis, with λ = `rate`."""

    rate: float

    def __post_init__(self) -> None:
        if not 0 < self.rate < float("inf"):
            raise ValueError(f"Delta-LoRA: rate λ is {self.rate!r}; it must be a finite number > 0 (2 in the paper)")

    def build(self, base: Frozen, factors: Factors, spec: LayerSpec) -> Drifting:
        return Drifting(base, factors, spec, self.rate)

    def trains(self, base: Frozen, r: int) -> tuple[str, ...]:
        return ("A", "B")

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        refuse_without_whole_w0("Delta-LoRA", name, recipe)
        if recipe.dropout:
            raise AxisConflict(
                f"Delta-LoRA takes no dropout, and dropout is {recipe.dropout} (layer {name}): W₀ follows BA as a "
                "whole, so BA must be what the forward pass used. Set dropout=0"
            )

    def largest_r(self, d_out: int, d_in: int) -> int | None:
        return min(d_out, d_in)

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return r * (d_in + d_out)
