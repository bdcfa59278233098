"""AdaLoRA: one budget of rank for the whole model, spent where the loss needs it."""

from dataclasses import dataclass

from torch import nn

from lorabook.axes.form.adalora import PLQ, AdaLoRAForm
from lorabook.axes.init.adalora import GaussianStart
from lorabook.axes.rule.allocator import Allocator
from lorabook.axes.rule.schedule import BudgetPlan
from lorabook.core.adapted_layer import adapted
from lorabook.core.frozen import Frozen
from lorabook.core.recipe import AxisConflict, Recipe
from lorabook.core.whole_number import refuse_unless_whole


@dataclass(frozen=True)
class AdaLoRARule:
    """AdaLoRA's value on the rule axis: builds the allocator of a model whose layers are PΛQ."""

    target_r: int
    plan: BudgetPlan
    betas: tuple[float, float]
    orthogonality: float

    def __post_init__(self) -> None:
        refuse_unless_whole("AdaLoRA: target_r", self.target_r, 1, ", the mean final rank")
        if not all(0 < beta < 1 for beta in self.betas):
            raise ValueError(
                f"AdaLoRA: beta1 and beta2 are {self.betas}; each must lie between 0 and 1 (0.85 is usual)"
            )
        if not 0 <= self.orthogonality < float("inf"):
            raise ValueError(f"AdaLoRA: orthogonality is {self.orthogonality!r}; it must be a finite number ≥ 0")

    def build(self, model: nn.Module) -> Allocator:
        layers = {name: layer.update for name, layer in adapted(model).items() if isinstance(layer.update, PLQ)}
        if not layers:
            raise ValueError("AdaLoRA's allocator found no layer of the form PΛQ: inject an AdaLoRA recipe first")
        r = min(len(layer.E) for layer in layers.values())
        if self.target_r > r:
            raise ValueError(
                f"AdaLoRA: target_r = {self.target_r} is more than r = {r}, the rank the layers start with"
            )
        return Allocator(layers, self.plan, self.target_r, self.betas, self.orthogonality)

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        if not isinstance(recipe.form, AdaLoRAForm):
            raise AxisConflict(f"AdaLoRA's rule masks the λ of PΛQ, and {name} has none: take AdaLoRA's form with it")
        if self.target_r > recipe.r:
            raise ValueError(f"AdaLoRA: target_r = {self.target_r} is more than r = {recipe.r}, the rank at the start")

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return 0


def AdaLoRA(
    r: int | None = None, alpha: float | None = None, dropout: float | None = None, *,
    total_steps: int | None = None, target_r: int = 4, warm_up: int | None = None, final: int | None = None,
    every: int = 10, beta1: float = 0.85, beta2: float = 0.85, orthogonality: float = 0.001,
) -> Recipe:  # fmt: skip
    """Adaptive budget: ΔW = s·PΛQ, each layer with rank r at first, `target_r` per layer on average at the end.

    s = α/r with the *starting* r throughout, as in PEFT (which divides by r + 10⁻⁵).

    Args:
        total_steps: optimiser steps of the whole run; those that `fit` is given if None.
        warm_up: steps at full rank at the start; a tenth of the run if None.
        final: steps with fixed masks at the end; a third of the run if None.
        every: steps from one choice of triplets to the next; at 1 what is masked once stays masked.
        orthogonality: γ of the penalty. The paper's 0.1 to 0.5 were used with the authors' code, whose penalty is a
            mean of norms; with equation 4 and some 28 layers 0.001 starts out as hard a pull. A γ that is too large
            slows P and Q down and lets the penalty's own gradient decide the scores.

    Raises:
        ValueError: a number out of its range, or phases longer than the run.

    Source: Zhang et al. 2023 (2303.10512).
    """
    rule = AdaLoRARule(target_r, BudgetPlan(total_steps, warm_up, final, every), (beta1, beta2), orthogonality)
    return Recipe(r, alpha, dropout, form=AdaLoRAForm(), init=GaussianStart(), rule=rule, names=frozenset({"AdaLoRA"}))
