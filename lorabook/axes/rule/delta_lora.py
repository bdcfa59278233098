"""Delta-LoRA: after a warm-up W₀ moves as well, by what BA has just moved."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lorabook.axes.form.delta_lora import Drifting, Following
from lorabook.core.adapted_layer import adapted
from lorabook.core.recipe import Recipe
from lorabook.core.step_rule import StepRule


class StartsToFollow(StepRule):
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

    def penalty(self) -> Float[Tensor, ""]:
        return torch.zeros(())

    def before_step(self, t: int) -> None:
        return None

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
        return {name: held.clone() for name, held in self._remembered().items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        mine = self._remembered()
        if mine.keys() != state.keys():
            odd = sorted(mine.keys() ^ state.keys())[0]
            raise ValueError(f"Delta-LoRA: checkpoint and model differ in {odd!r}; resume with the same recipe")
        for name, held in mine.items():
            held.copy_(state[name])

    def _remembered(self) -> dict[str, Tensor]:
        return {f"{i}.{name}": held for i, one in enumerate(self.updates) for name, held in one.named_buffers()}


@dataclass(frozen=True)
class FollowFrom:
    """The value on the rule axis: the step K from which W₀ follows."""

    start: int

    def __post_init__(self) -> None:
        if not isinstance(self.start, int) or isinstance(self.start, bool) or self.start < 0:
            raise ValueError(f"Delta-LoRA: start is {self.start!r}; it must be a whole number of steps ≥ 0")

    def __call__(self, model: nn.Module) -> StartsToFollow:
        updates = [layer.update for layer in adapted(model).values() if isinstance(layer.update, Drifting)]
        if not updates:
            raise ValueError("Delta-LoRA found no layer whose W₀ may follow: inject a DeltaLoRA recipe first")
        return StartsToFollow(updates, self.start)


def DeltaLoRA(r: int | None = None, alpha: float | None = None, *, rate: float = 2.0, start: int = 0) -> Recipe:
    """Delta-LoRA: W₀ ← W₀ + λ·s·(B_{t+1}A_{t+1} − B_tA_t) after every step t ≥ K; t is 0 for the first. No dropout.

    With a constant λ this is less than it looks: from K = 0 on it is LoRA with α(1 + λ), see `claims/delta_lora`.

    Args:
        rate: λ.
        start: K, the steps before W₀ begins to move. Algorithm 1 has t > K, so the paper's K = 500 is `start=501`.

    Source: Zi et al. 2023 (2309.02411), algorithm 1.
    """
    return Recipe(r, alpha, None, form=Following(rate), rule=FollowFrom(start), names=frozenset({"Delta-LoRA"}))
