"""A draw before each step: what DyLoRA's ranks and the kinds of GLoRA's supernet have in common."""

import random
from abc import ABC, abstractmethod

from lorabook.core.step_rule import AfterStep


class DrawnEachStep(AfterStep, ABC):
    """Draws before the first step and after each but the last; a run that is over leaves the largest."""

    def __init__(self, seed: int) -> None:
        self.source, self.steps = random.Random(seed), 0

    def begin(self, steps: int) -> None:
        self.steps = steps
        self.draw()

    def after_step(self, t: int) -> None:
        if t + 1 >= self.steps:
            self.end()
        else:
            self.draw()

    @abstractmethod
    def draw(self) -> None:
        """Draw anew, and let the model use what was drawn."""
