"""How many triplets may live at step t: AdaLoRA's cubic budget."""

from dataclasses import dataclass

from lorabook.core.whole_number import refuse_unless_whole


@dataclass(frozen=True)
class CubicBudget:
    """b(t) falls from its start to its target along a cubic, between a warm-up and a final phase; t counts from 0.

        b(t) = b₀                                                       t ≤ warm_up
        b(t) = b_T + (b₀ − b_T)·(1 − (t − warm_up)/(T − warm_up − final))³
        b(t) = b_T                                                      t ≥ T − final

    Between the two phases it is cut to a whole number, and masks are drawn anew every `every` steps. Most triplets go
    early, while the scores are still rough; the last ones are given time.

    Source: Zhang et al. 2023 (2303.10512), equation 12 and algorithm 1.
    """

    total_steps: int
    warm_up: int
    final: int
    every: int

    def __post_init__(self) -> None:
        for name, least in (("total_steps", 1), ("warm_up", 0), ("final", 1), ("every", 1)):
            refuse_unless_whole(f"AdaLoRA: {name}", getattr(self, name), least, unit="steps")
        if self.warm_up + self.final >= self.total_steps:
            raise ValueError(
                f"AdaLoRA: warm_up + final = {self.warm_up} + {self.final} steps leave nothing of total_steps = "
                f"{self.total_steps} to lower the rank in; shorten one, or train longer"
            )

    @property
    def last(self) -> int:
        """The step at which the masks are drawn for the last time; the final phase follows."""
        return self.total_steps - self.final

    def budget(self, t: int, start: int, target: int) -> int:
        """Return b(t), from b₀ = `start` to b_T = `target`."""
        if t <= self.warm_up:
            return start
        left = max(0.0, 1 - (t - self.warm_up) / (self.last - self.warm_up))
        return int(target + (start - target) * left**3)

    def reallocates(self, t: int) -> bool:
        """Say whether masks are drawn anew after step t."""
        return t == self.last or (self.warm_up < t < self.last and t % self.every == 0)


@dataclass(frozen=True)
class BudgetPlan:
    """A cubic budget whose length may still be open: None is the run's own steps, a tenth, and a third of them."""

    total_steps: int | None
    warm_up: int | None
    final: int | None
    every: int

    def __post_init__(self) -> None:
        if self.total_steps is not None:
            self.of(self.total_steps)

    def of(self, steps: int) -> CubicBudget:
        """Return the budget of a run of `steps` steps.

        Raises:
            ValueError: the plan was made for another number of steps, or its phases are longer than the run.
        """
        if self.total_steps is not None and self.total_steps != steps:
            raise ValueError(
                f"AdaLoRA was planned with total_steps = {self.total_steps} and the run has {steps}: its budget would "
                "not land. Give both the same number, or leave total_steps out"
            )
        warm_up = steps // 10 if self.warm_up is None else self.warm_up
        return CubicBudget(steps, warm_up, max(1, steps // 3) if self.final is None else self.final, self.every)
