"""Delta-LoRA: after a warm-up W₀ moves as well, by what BA has just moved."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lorabook.layer import adapted
from lorabook.rank.step_rule import StepRule
from lorabook.recipe import Recipe
from lorabook.update.drifting import Drifting, Following


class StartsToFollow(StepRule):
    """From step K on every W₀ follows its BA."""

    def __init__(self, updates: list[Drifting], start: int) -> None:
        self.updates, self.start = updates, start

    def begin(self, steps: int) -> None:
        if self.start == 0 and not any(update.moving for update in self.updates):
            self._start()

    def penalty(self) -> Float[Tensor, ""]:
        return torch.zeros(())

    def before_step(self, t: int) -> None:
        return None

    def after_step(self, t: int) -> None:
        if t + 1 == self.start:
            self._start()

    def _start(self) -> None:
        for update in self.updates:
            update.start()

    def state_dict(self) -> dict[str, Tensor]:
        return {f"{i}.{name}": held.clone() for i, update in enumerate(self.updates) for name, held in update.named_buffers()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        for i, update in enumerate(self.updates):
            for name, held in update.named_buffers():
                held.copy_(state[f"{i}.{name}"])


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


def DeltaLoRA(
    r: int | None = None, alpha: float | None = None, *, rate: float = 2.0, start: int = 0
) -> Recipe:
    """Delta-LoRA: W₀ ← W₀ + λ·s·(B_{t+1}A_{t+1} − B_tA_t) after every step t ≥ K. No dropout.

    Args:
        rate: λ.
        start: K, the steps before W₀ begins to move (500 in the paper).

    Source: Zi et al. 2023 (2309.02411), algorithm 1.
    """
    return Recipe(r, alpha, None, form=Following(rate), rule=FollowFrom(start), names=frozenset({"Delta-LoRA"}))
