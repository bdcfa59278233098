"""DoRA with one thing changed, for a comparison: lengths that do not train, or a norm that gradients pass through."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lorabook.arena.method import Method, Training, train_once
from lorabook.axes.form.dora import DoRA
from lorabook.core.frozen import Frozen
from lorabook.core.inject import inject
from lorabook.core.recipe import Factors, LayerSpec, Recipe
from lorabook.core.update import Update, materialised


@final
class FixedLengths(Method):
    """DoRA whose m stays at ‖W₀‖: rows turn, and nothing stretches them."""

    name = "DoRA, m fixed"
    sizes, own, first_rate = range(0), 7, 8e-3

    def prepare(self, model: nn.Module, targets: str, size: int, generator: torch.Generator) -> None:
        for layer in inject(model, DoRA(size, 2 * size), targets, generator).values():
            layer.update.m.requires_grad_(False)

    def train(self, model: nn.Module, training: Training) -> None:
        train_once(model, training)


class Normalised(Update):
    """W = m ⊙ V/‖V‖ with V = W₀ + s·BA and ‖V‖ in the graph: ∂L/∂V has no part along V.

    Source: Liu et al. 2024 (2402.09353), equations 5 and 6; LyCORIS trains it so.
    """

    def __init__(self, base: Frozen, factors: Factors, spec: LayerSpec) -> None:
        super().__init__()
        self.A, self.B, self.s = nn.Parameter(factors.A), nn.Parameter(factors.B), spec.scale
        self.m = nn.Parameter(base.matrix.detach().norm(dim=1))

    def weight(self, w0: Float[Tensor, "d_out d_in"]) -> Float[Tensor, "d_out d_in"]:
        v = w0 + self.s * (self.B @ self.A)
        return (self.m / v.norm(dim=1))[:, None] * v

    def forward(self, base: Frozen, x: Tensor) -> Tensor:
        return materialised(base, self, x)


@dataclass(frozen=True)
class NormInGraph:
    """A value on the form axis: DoRA without section 4.3."""

    def build(self, base: Frozen, factors: Factors, spec: LayerSpec) -> Normalised:
        return Normalised(base, factors, spec)

    def trains(self, base: Frozen, r: int) -> tuple[str, ...]:
        return ("A", "B", "m")

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        """Every layer of the arena's models suits."""

    def largest_r(self, d_out: int, d_in: int) -> int | None:
        return min(d_out, d_in)

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return r * (d_in + d_out) + d_out
