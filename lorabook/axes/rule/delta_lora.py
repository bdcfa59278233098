"""Delta-LoRA: after a warm-up W₀ moves as well, by what BA has just moved."""

from dataclasses import dataclass

from torch import Tensor, nn

from lorabook.axes.form.delta_lora import DeltaLoRAForm, Drifting
from lorabook.core.adapted_layer import adapted
from lorabook.core.frozen import Frozen
from lorabook.core.recipe import AxisConflict, Recipe
from lorabook.core.step_rule import AfterStep
from lorabook.core.whole_number import refuse_unless_whole


class StartsToFollow(AfterStep):
    """From step K on every W₀ follows its BA. A further run of a model whose W₀ follows already changes nothing."""

    def __init__(self, updates: list[Drifting], start: int) -> None:
        self.updates, self.start = updates, start

    def begin(self, steps: int) -> None:
        if self.start > steps and not all(update.moving for update in self.updates):
            raise ValueError(
                f"Delta-LoRA: start = {self.start}, and the run has {steps} steps, so W₀ would never move: start "
                "earlier, or train longer"
            )
        if self.start == 0:
            self._start()

    def after_step(self, t: int) -> None:
        if t + 1 == self.start:
            self._start()

    def end(self) -> None:
        return None

    def _start(self) -> None:
        for update in self.updates:
            # Started once more, a W₀ would lose the way that it has come.
            if not update.moving:
                update.start()

    def state_dict(self) -> dict[str, Tensor]:
        return {name: buffer.clone() for name, buffer in self._remembered().items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        mine = self._remembered()
        if mine.keys() != state.keys():
            odd = sorted(mine.keys() ^ state.keys())[0]
            raise ValueError(f"Delta-LoRA: checkpoint and model differ in {odd!r}; resume with the same recipe")
        for name, buffer in mine.items():
            buffer.copy_(state[name])

    def _remembered(self) -> dict[str, Tensor]:
        return {f"{i}.{name}": buffer for i, one in enumerate(self.updates) for name, buffer in one.named_buffers()}


@dataclass(frozen=True)
class DeltaLoRARule:
    """Delta-LoRA's value on the rule axis: the step K from which W₀ follows."""

    start: int

    def __post_init__(self) -> None:
        refuse_unless_whole("Delta-LoRA: start", self.start, 0, unit="steps")

    def build(self, model: nn.Module) -> StartsToFollow:
        updates = [layer.update for layer in adapted(model).values() if isinstance(layer.update, Drifting)]
        if not updates:
            raise ValueError("Delta-LoRA found no layer whose W₀ may follow: inject a DeltaLoRA recipe first")
        return StartsToFollow(updates, self.start)

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        if not isinstance(recipe.form, DeltaLoRAForm):
            raise AxisConflict(f"Delta-LoRA's rule lets W₀ follow BA, and {name} cannot: take Delta-LoRA's form")

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return 0


def DeltaLoRA(r: int | None = None, alpha: float | None = None, *, rate: float = 2.0, start: int = 0) -> Recipe:
    """Delta-LoRA: W₀ ← W₀ + λ·s·(B_{t+1}A_{t+1} − B_tA_t) after every step t ≥ K; t is 0 for the first. No dropout.

    With a constant λ this is less than it looks: from K = 0 on it is LoRA with α(1 + λ), see `claims/delta_lora`.

    Args:
        rate: λ.
        start: K, the steps before W₀ begins to move. Algorithm 1 has t > K, so the paper's K = 500 is `start=501`.

    Source: Zi et al. 2023 (2309.02411), algorithm 1.
    """
    return Recipe(r, alpha, None, form=DeltaLoRAForm(rate), rule=DeltaLoRARule(start), names=frozenset({"Delta-LoRA"}))
