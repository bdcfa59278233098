"""DyLoRA: draw a rank at every step, and train only what that rank would keep."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lorabook.axes.form.dylora import DyLoRAForm, FrozenDyLoRAForm, Nested, truncate
from lorabook.axes.rule.drawn import DrawnEachStep
from lorabook.core.adapted_layer import adapted
from lorabook.core.frozen import Frozen
from lorabook.core.random_state import restore, state_of
from lorabook.core.recipe import AxisConflict, Recipe
from lorabook.core.whole_number import refuse_unless_whole


class SampledRank(DrawnEachStep):
    """Before each step b is drawn evenly from r_min … r_max, one for all layers; a run that is over leaves r_max."""

    def __init__(self, model: nn.Module, r_min: int, r_max: int, seed: int) -> None:
        super().__init__(seed)
        self.model, self.r_min, self.r_max, self.b = model, r_min, r_max, r_max

    def draw(self) -> None:
        self._use(self.source.randint(self.r_min, self.r_max))

    def end(self) -> None:
        self._use(self.r_max)

    def _use(self, b: int) -> None:
        self.b = b
        truncate(self.model, b)

    def state_dict(self) -> dict[str, Tensor]:
        return {"b": torch.tensor(self.b), "source": state_of(self.source)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        restore(self.source, state["source"])
        self._use(int(state["b"]))


@dataclass(frozen=True)
class DyLoRARule:
    """DyLoRA's value on the rule axis: which ranks are drawn, and by which seed; r_max is the layers' rank if None."""

    r_min: int
    r_max: int | None
    seed: int

    def __post_init__(self) -> None:
        for name, value in (("r_min", self.r_min), ("r_max", self.r_max)):
            if value is not None:
                refuse_unless_whole(f"DyLoRA: {name}", value)
        if self.r_max is not None and self.r_min > self.r_max:
            raise ValueError(f"DyLoRA: r_min = {self.r_min} is more than r_max = {self.r_max}: no rank can be drawn")

    def build(self, model: nn.Module) -> SampledRank:
        updates = [layer.update for layer in adapted(model).values()]
        nested = [update for update in updates if isinstance(update, Nested)]
        if not nested:
            raise ValueError("DyLoRA draws ranks for nested adapters, and this model has none: inject a DyLoRA recipe")
        r = min(len(update.A) for update in nested)
        r_max = r if self.r_max is None else self.r_max
        if not self.r_min <= r_max <= r:
            raise ValueError(f"DyLoRA: r_min = {self.r_min} and r_max = {r_max} must both lie in 1 … r = {r}")
        return SampledRank(model, self.r_min, r_max, self.seed)

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        if not isinstance(recipe.form, DyLoRAForm | FrozenDyLoRAForm):
            raise AxisConflict(f"DyLoRA's rule draws ranks of nested factors, and {name} has none: take its form")
        r_max = recipe.r if self.r_max is None else self.r_max
        if not self.r_min <= r_max <= recipe.r:
            raise ValueError(f"DyLoRA: r_min = {self.r_min} and r_max = {r_max} must both lie in 1 … r = {recipe.r}")

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return 0


def DyLoRA(
    r: int | None = None, alpha: float | None = None, dropout: float | None = None, *,
    r_min: int = 1, r_max: int | None = None, seed: int = 0,
) -> Recipe:  # fmt: skip
    """Dynamic LoRA: one training run, and every rank from r_min to r_max can be used afterwards (`truncate`).

    Args:
        r_min, r_max: the ranks that are drawn; r_max is r if None.
        seed: of the draws.

    Source: Valipour et al. 2022 (2210.07558), algorithm 1.
    """
    rule = DyLoRARule(r_min, r_max, seed)
    return Recipe(r, alpha, dropout, form=DyLoRAForm(), rule=rule, names=frozenset({"DyLoRA"}))


def FrozenDyLoRA(
    r: int | None = None, alpha: float | None = None, dropout: float | None = None, *,
    r_min: int = 1, r_max: int | None = None, seed: int = 0,
) -> Recipe:  # fmt: skip
    """DyLoRA's "frozen" form: at rank b only row b of A and column b of B move.

    Source: Valipour et al. 2022 (2210.07558), section 3.2.
    """
    rule = DyLoRARule(r_min, r_max, seed)
    return Recipe(r, alpha, dropout, form=FrozenDyLoRAForm(), rule=rule, names=frozenset({"DyLoRA"}))
