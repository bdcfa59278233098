"""LoRA whole: its form ΔW = s·BA, its start, its scale, its optimiser, and the recipe that every variant departs from.

Source: Hu et al. 2021 (2106.09685), and its loralib.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lorabook.core.dense import DenseStorage
from lorabook.core.frozen import Frozen
from lorabook.core.recipe import Factors, LayerSpec, Recipe
from lorabook.core.update import Update


class LowRank(Update):
    """W = W₀ + s·BA, with A: r × d_in, B: d_out × r and ΔW of rank at most r.

    Source: Hu et al. 2021 (2106.09685), equation 3.
    """

    def __init__(self, base: Frozen, factors: Factors, spec: LayerSpec) -> None:
        super().__init__()
        self.A, self.B = nn.Parameter(factors.A), nn.Parameter(factors.B)
        self.s = spec.scale
        # The default generator, as every torch dropout: gradient checkpointing replays only that one.
        self.drop = nn.Dropout(spec.dropout)

    def weight(self, w0: Float[Tensor, "d_out d_in"]) -> Float[Tensor, "d_out d_in"]:
        return w0 + self.s * (self.B @ self.A)

    def forward(self, base: Frozen, x: Tensor) -> Tensor:
        return base.two_paths(x, self.drop(x), self.A, self.B, self.s, base.bias)


@dataclass(frozen=True)
class LowRankForm:
    """LoRA's value on the form axis."""

    def build(self, base: Frozen, factors: Factors, spec: LayerSpec) -> LowRank:
        return LowRank(base, factors, spec)

    def trains(self, base: Frozen, r: int) -> tuple[str, ...]:
        return ("A", "B")

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        """Every layer and every other axis suits."""

    def largest_r(self, d_out: int, d_in: int) -> int | None:
        return min(d_out, d_in)

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return r * (d_in + d_out)


def uniform_rows(rows: int, d_in: int, like: Tensor, generator: torch.Generator) -> Float[Tensor, "rows d_in"]:
    """Return rows × d_in numbers, uniform on ±1/√d_in: Kaiming's rule with a = √5 and fan_in = d_in."""
    return uniform(rows, d_in, 1 / math.sqrt(d_in), like, generator)


def uniform(rows: int, columns: int, bound: float, like: Tensor, generator: torch.Generator) -> Tensor:
    """Return rows × columns numbers, uniform on ±bound, with the dtype and on the device of `like`."""
    # Drawn where the generator lives, so that one seed gives one adapter on every device.
    return torch.empty(rows, columns, device=generator.device).uniform_(-bound, bound, generator=generator).to(like)


@dataclass(frozen=True)
class KaimingStart:
    """LoRA's value on the init axis: A random, B zero, hence ΔW = 0 and W₀ whole."""

    takes_from_w0: ClassVar = False

    def build(self, w0: Float[Tensor, "d_out d_in"], spec: LayerSpec) -> Factors:
        """Return A uniform on ±1/√d_in and B = 0.

        fan_in is d_in, the number of inputs that A reads. Storing A as d_in × r makes the usual library call take
        fan_in = r instead, and A comes out √(d_in/r) times too large.

        Source: Hu et al. 2021 (2106.09685), section 4.1, and its loralib (a = √5).
        """
        d_out, d_in = w0.shape
        return Factors(A=uniform_rows(spec.r, d_in, w0, spec.generator), B=w0.new_zeros(d_out, spec.r))

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        """Every layer and every other axis suits."""

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return 0


@dataclass(frozen=True)
class AlphaOverR:
    """LoRA's value on the scale axis.

    Source: Hu et al. 2021 (2106.09685), section 4.1.
    """

    def build(self, alpha: float, r: int) -> float:
        """Return s = α/r."""
        return alpha / r

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        """Every layer and every other axis suits."""

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return 0


@dataclass(frozen=True)
class AdamW:
    """LoRA's value on the optimiser axis: one step size for A and B alike, and no weight decay.

    Source: Loshchilov, Hutter 2017 (1711.05101).
    """

    def build(self, named: dict[str, Tensor], lr: float) -> torch.optim.AdamW:
        """Return torch's AdamW over the trained parameters, given by their name in the model; lr is η for each."""
        return torch.optim.AdamW(list(named.values()), lr=lr, weight_decay=0.0)

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        """Every layer and every other axis suits."""

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return 0


def LoRA(r: int | None = None, alpha: float | None = None, dropout: float | None = None) -> Recipe:
    """Low-rank adaptation: the origin of the space. Every axis is LoRA's own."""
    return Recipe(r, alpha, dropout)


ORIGIN = Recipe(
    r=8, alpha=16.0, dropout=0.0, form=LowRankForm(), init=KaimingStart(), scale=AlphaOverR(), base=DenseStorage(),
    optim=AdamW(),
)  # fmt: skip
"""What LoRA does on every axis; it has no step rule and leaves attention alone. r = 8, alpha = 16 are the book's."""
