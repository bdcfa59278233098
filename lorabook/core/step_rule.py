"""What may happen around an optimiser step besides the step itself."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor


class StepRule(ABC):
    """A rule that the training loop calls around each optimiser step; t is 0 for the first step.

        (loss + rule.penalty()).backward();  rule.before_step(t);  optimizer.step();  rule.after_step(t);  zero_grad

    A recipe's `rule` builds one on a model that has its adapters: `recipe.rule.build(model) -> StepRule`.
    """

    @abstractmethod
    def begin(self, steps: int) -> None:
        """Take note that a run of this many steps begins; raise ValueError if the rule was planned for another."""

    @abstractmethod
    def penalty(self) -> Float[Tensor, ""]:
        """Return what is added to the loss; zero where the rule adds nothing."""

    @abstractmethod
    def before_step(self, t: int) -> None:
        """Act when gradients are there and the parameters have not moved yet."""

    @abstractmethod
    def after_step(self, t: int) -> None:
        """Act when the optimiser has moved the parameters and their gradients are still there."""

    @abstractmethod
    def end(self) -> None:
        """Leave the model as it is to be used: no step follows, because the run is over or was stopped on its way."""

    @abstractmethod
    def state_dict(self) -> dict[str, Tensor]:
        """Return what the rule remembers from step to step, for a checkpoint."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take back what `state_dict` returned, so that a resumed run goes on as if it had never stopped."""


class AfterStep(StepRule, ABC):
    """A rule that acts after the step alone: it adds nothing to the loss, and takes gradients as they are."""

    def penalty(self) -> Float[Tensor, ""]:
        return torch.zeros(())

    def before_step(self, t: int) -> None:
        return None
