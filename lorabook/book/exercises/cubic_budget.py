"""Exercise: AdaLoRA's budget b(t) over a run: whole during warm-up, then a cubic, and the target in the final phase."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise, Mistake

MARGIN = 1e-3


@dataclass(frozen=True)
class Plan:
    """The steps of a run, those of its first and of its last phase, and how many triplets live in each."""

    steps: int
    warm_up: int
    final: int
    start: int
    target: int

    @property
    def last(self) -> int:
        return self.steps - self.final

    @property
    def given(self) -> dict[str, object]:
        return {
            "steps": self.steps, "warm_up": self.warm_up, "final": self.final, "start": self.start,
            "target": self.target,
        }  # fmt: skip


def draw_cases(stream: random.Random) -> list[Plan]:
    """Return three plans, one of them without a warm-up; no budget lies where rounding would decide."""
    return [_plan(stream, least) for least in (0, 3, 4)]


def _plan(stream: random.Random, warm_up: int) -> Plan:
    while True:
        falls = stream.choice((11, 13, 17))
        final = stream.randint(3, 6)
        target = stream.randint(10, 25)
        plan = Plan(warm_up + falls + final, warm_up, final, target + stream.randint(60, 120), target)
        drawn = [answer(plan, power=power, whole=float, late=late) for power in (1, 2, 3) for late in (False, True)]
        inside = [b for budgets in drawn for b in budgets[warm_up + 1 : plan.last]]
        if all(abs(2 * b - round(2 * b)) > MARGIN for b in inside):
            return plan


def answer(
    c: Plan,
    power: int = 3,
    first: Callable[[Plan], int] = lambda c: c.warm_up,
    last: Callable[[Plan], int] = lambda c: c.last,
    whole: Callable[[float], float] = int,
    least: Callable[[Plan], int] = lambda c: c.target,
    late: bool = False,
) -> list[float]:
    """Return b_T + (b₀ − b_T)·(1 − (t − t_i)/(T − t_i − t_f))³ for each t. Source: 2303.10512, equation 12."""
    budgets = []
    for t in range(c.steps):
        left = min(1.0, max(0.0, 1 - (t - first(c)) / (last(c) - first(c))))
        share = 1 - (1 - left) ** power if late else left**power
        budgets.append(float(whole(least(c) + (c.start - least(c)) * share)))
    return budgets


PULLED = (
    "That is the pull request: equal steps, from the first step of the run to its last. The budget is whole during "
    "warm-up, falls as a cubic, and is the target in the final phase."
)
LINEAR = "Your budget falls in equal steps between the two phases. The share that is left is raised to the third power."
SQUARE = "You square the share that is left. AdaLoRA takes the third power."
NO_WARM_UP = "Your budget falls from step 0. Until warm-up ends, all triplets live: count t from there."
NO_FINAL = "Your budget arrives at the end of the run. It must arrive `final` steps earlier, and stay at the target."
LATE = (
    "You cube the share of the way that is done. Then most triplets go last. Cube the share that is left, 1 − progress."
)
ROUNDED = "You round. The authors' code, PEFT and this book cut: int(b)."
UNCUT = "Your budgets are no whole numbers, and nobody can keep 30.4 triplets. Cut each: int(b)."
ZERO = "Your budget falls to 0. What is cubed is the part above the target: target + (start − target)·…"

MISTAKES = (
    Mistake("pulled", PULLED, {"power": 1, "first": lambda c: 0, "last": lambda c: c.steps}),
    Mistake("linear", LINEAR, {"power": 1}),
    Mistake("square", SQUARE, {"power": 2}),
    Mistake("no-warm-up", NO_WARM_UP, {"first": lambda c: 0}),
    Mistake("no-final", NO_FINAL, {"last": lambda c: c.steps}),
    Mistake("late", LATE, {"late": True}),
    Mistake("rounded", ROUNDED, {"whole": round}, points=0.5),
    Mistake("uncut", UNCUT, {"whole": float}, points=0.5),
    Mistake("zero", ZERO, {"least": lambda c: 0}),
)

EXERCISE = Exercise(
    title="Repair the budget",
    function="budgets",
    difficulty=1,
    minutes=5,
    prompt=(
        "A pull request brings AdaLoRA's schedule, after a formula in circulation:\n\n```python\n"
        "return [int(start - (start - target) * t / steps) for t in range(steps)]\n```\n\n"
        "It knows no warm-up and no final phase, and falls in equal steps. Write `budgets(steps, warm_up, final, "
        "start, target)`: the list of b(t) for t = 0 … steps − 1. Between the phases cut it to a whole number."
    ),
    hints=(
        "Which share of the way between the two phases is left at step t? It is 1 at t = warm_up.",
        "The cubic runs over steps − warm_up − final steps. Before and after it the share is 1 and 0.",
        "left = min(1, max(0, 1 − (t − warm_up)/(steps − warm_up − final))); int(target + (start − target)·left³).",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
)
