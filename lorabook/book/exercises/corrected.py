"""Exercise: Holm's correction of many p."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise, Mistake
from lorabook.book.classroom.plain import Array


@dataclass(frozen=True)
class Family:
    """The p of one family of comparisons, in no order."""

    p: list[float]

    @property
    def given(self) -> dict[str, object]:
        return {"p": Array(self.p)}


def draw_cases(stream: random.Random) -> list[Family]:
    """Return families in which an order, a cap and a monotone step each make a difference."""
    cases = []
    for m in (4, 6, 9):
        small = sorted(stream.randint(10, 99) / 10_000 for _ in range(m - 2))
        # Three times the one is more than 1 and more than twice the next.
        third = 0.35 + stream.randint(1, 9) / 1000
        family = [*small[: m - 3], third, third * 1.2, 0.6 + stream.randint(1, 99) / 1000]
        while sorted(family) == family or sorted(family, reverse=True) == family:
            stream.shuffle(family)
        cases.append(Family(family))
    return cases


def holm_factor(i: int, m: int) -> int:
    """Return m − i for the i-th smallest, counted from 0."""
    return m - i


def all_of_them(i: int, m: int) -> int:
    """Return Bonferroni's m, whatever the place."""
    return m


def one_less(i: int, m: int) -> int:
    """Return m − 1 − i, which leaves nothing of the largest."""
    return m - 1 - i


def from_the_largest(i: int, m: int) -> int:
    """Return i + 1: the smallest is not corrected at all."""
    return i + 1


def benjamini(i: int, m: int) -> float:
    """Return m/(i + 1): the false discovery rate's factor."""
    return m / (i + 1)


def upwards(values: list[float]) -> list[float]:
    """Let none be below one before it."""
    return [max(values[: i + 1]) for i in range(len(values))]


def downwards(values: list[float]) -> list[float]:
    """Let none be above one after it, as Hochberg and Benjamini do."""
    return [min(values[i:]) for i in range(len(values))]


def as_they_are(values: list[float]) -> list[float]:
    """Leave them alone."""
    return values


def back(values: list[float], order: list[int]) -> list[float]:
    """Put each where its p stood."""
    placed = [0.0] * len(values)
    for value, place in zip(values, order, strict=True):
        placed[place] = value
    return placed


def answer(
    c: Family,
    factor: Callable[[int, int], float] = holm_factor,
    step: Callable[[list[float]], list[float]] = upwards,
    most: float = 1.0,
    placed: Callable[[list[float], list[int]], list[float]] = back,
) -> list[float]:
    """Return Holm's p, in the order of p."""
    order = sorted(range(len(c.p)), key=c.p.__getitem__)
    raw = [factor(i, len(c.p)) * c.p[place] for i, place in enumerate(order)]
    return placed([min(most, value) for value in step(raw)], order)


BONFERRONI = "That is Bonferroni: every p times m. Holm's factor is m for the smallest only, then m − 1, m − 2, …, 1."
LESS = "Your factors are m − 1 … 0. The smallest p is multiplied by m, the largest by 1."
REVERSED = "Your factors run the wrong way: the smallest p needs the largest factor."
FDR = "That is Benjamini–Hochberg, m/i: it holds the share of false findings, not the chance of any."
LOOSE = "A larger p ends below a smaller one. No corrected p may be below one that comes before it."
HOCHBERG = "You step down from the largest, which is Hochberg's way. Holm's goes up from the smallest."
UNCAPPED = "One of your p is above 1."
SORTED = "You return them sorted. Give each back where its p stood."

MISTAKES = (
    Mistake("bonferroni", BONFERRONI, {"factor": all_of_them}),
    Mistake("one-less", LESS, {"factor": one_less}),
    Mistake("reversed", REVERSED, {"factor": from_the_largest}),
    Mistake("fdr", FDR, {"factor": benjamini, "step": downwards}),
    Mistake("loose", LOOSE, {"step": as_they_are}),
    Mistake("hochberg", HOCHBERG, {"step": downwards}),
    Mistake("uncapped", UNCAPPED, {"most": float("inf")}),
    Mistake("sorted", SORTED, {"placed": lambda values, order: values}),
)

EXERCISE = Exercise(
    title="Twenty-two comparisons",
    function="holm",
    difficulty=2,
    minutes=10,
    prompt=(
        "Twenty-two variants are compared with LoRA, each with a p of its own. Write `holm(p)`, which returns the p of "
        "a family after Holm's correction, in the order in which they came: sort them, multiply the smallest by m, the "
        "next by m − 1, … the largest by 1; none may be below one before it, none above 1."
    ),
    hints=(
        "Sort, multiply, make them rise, cut at 1, and undo the sorting.",
        "`order = p.argsort()`; the factors are m, m − 1, …, 1. `cummax` makes a list rise.",
        "`q = (p[order] * torch.arange(len(p), 0, -1)).cummax(0).values.clamp(max=1)`, then `q[order.argsort()]`.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
)
