"""AdaLoRA with another choice: the same form, start, penalty and budget, and other reasons to keep a triplet."""

from collections.abc import Callable
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from lorabook.axes.rule.allocator import Allocator
from lorabook.core.step_rule import StepRule

Worth = Callable[[Allocator], Float[Tensor, " triplets"]]
"""What each triplet of the model is worth now, layer by layer: the b(t) of the highest worth live."""


def largest(rule: Allocator) -> Float[Tensor, " triplets"]:
    """Return |λ|, as if it were a singular value and told the importance."""
    return torch.cat([layer.E.detach().abs().flatten() for layer in rule.layers.values()])


def drawn(seed: int) -> Worth:
    """Return a worth that knows nothing: an order that is drawn once and stands for the whole run."""

    def worth(rule: Allocator) -> Float[Tensor, " triplets"]:
        return torch.rand(rule.start, generator=torch.Generator().manual_seed(seed))

    return worth


@final
class ChosenBy(StepRule):
    """An allocator whose scores are not asked; all else is its own."""

    def __init__(self, rule: Allocator, worth: Worth) -> None:
        self.rule, self.worth = rule, worth

    def begin(self, steps: int) -> None:
        self.rule.begin(steps)

    def penalty(self) -> Float[Tensor, ""]:
        return self.rule.penalty()

    def before_step(self, t: int) -> None:
        """Gradients are not looked at."""

    @torch.no_grad()
    def after_step(self, t: int) -> None:
        schedule, layers = self.rule.schedule, self.rule.layers
        if schedule.reallocates(t):
            order = self.worth(self.rule).argsort(descending=True, stable=True)
            lives = torch.zeros(self.rule.start, dtype=torch.bool)
            lives[order[: schedule.budget(t, self.rule.start, self.rule.target)]] = True
            for kept, mine in zip(
                self.rule.kept.values(), lives.split([len(e.E) for e in layers.values()]), strict=True
            ):
                kept.copy_(mine)
        if schedule.reallocates(t) or t > schedule.last:
            for name, layer in layers.items():
                layer.E.masked_fill_(~self.rule.kept[name][:, None], 0.0)

    def end(self) -> None:
        self.rule.end()

    def state_dict(self) -> dict[str, Tensor]:
        return self.rule.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.rule.load_state_dict(state)
