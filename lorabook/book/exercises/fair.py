"""Exercise: the loss that a contender may report, its rate chosen on other seeds."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from lorabook.book.classroom.exercise import Exercise, Mistake
from lorabook.book.classroom.plain import Array, Matrix

Pick = Callable[[Sequence[float], int], Sequence[float]]
"""From the losses of one rate on all seeds, and k: those that count."""


@dataclass(frozen=True)
class Runs:
    """Losses of some rates (rows) on some seeds (columns); the first k seeds tune."""

    losses: Matrix
    k: int

    @property
    def given(self) -> dict[str, object]:
        return {"losses": Array(self.losses), "k": self.k}


def tuning(row: Sequence[float], k: int) -> Sequence[float]:
    """Return what the first k seeds gave."""
    return row[:k]


def reporting(row: Sequence[float], k: int) -> Sequence[float]:
    """Return what the others gave."""
    return row[k:]


def every(row: Sequence[float], k: int) -> Sequence[float]:
    """Return what all seeds gave."""
    return row


def luckiest(row: Sequence[float], k: int) -> Sequence[float]:
    """Return the best of the reporting seeds alone."""
    return [min(row[k:])]


def lucky_tuning(row: Sequence[float], k: int) -> Sequence[float]:
    """Return the best of the tuning seeds alone."""
    return [min(row[:k])]


CASES, APART = 6, 0.004


def draw_cases(stream: random.Random) -> list[Runs]:
    """Return runs in which each wrong choice of a rate takes another one than the right choice does."""
    return [_case(stream) for _ in range(CASES)]


def _case(stream: random.Random) -> Runs:
    k, rates, seeds = stream.randint(2, 3), stream.randint(4, 6), stream.randint(6, 9)
    while True:
        losses = [[stream.randint(3700, 3900) / 1000 for _ in range(seeds)] for _ in range(rates)]
        c = Runs(losses, k)
        ways = (tuning, every, reporting, lucky_tuning)
        reports = [answer(c, choose=way) for way in ways] + [answer(c, best=max)]
        if all(abs(reports[0] - other) > APART for other in reports[1:]):
            return c


def answer(
    c: Runs, choose: Pick = tuning, report: Pick = reporting, best: Callable[..., Sequence[float]] = min
) -> float:
    """Return the mean over the reporting seeds of the rate that is best on the tuning seeds."""
    row = best(c.losses, key=lambda losses: fmean(choose(losses, c.k)))
    return fmean(report(row, c.k))


ALL_CHOOSE = (
    "You choose the rate on all seeds, as the pull request does. The seeds that report must not choose: what was luck "
    "there would count as skill."
)
PEEKED = "You choose the rate on the seeds that report. That is the best of many draws: it looks better than it is."
TUNED = "You report what the tuning seeds gave. They have chosen this rate, and flatter it."
ALL_REPORT = "You report the mean over all seeds. The first k have chosen the rate; only the others are fresh."
LUCK = "You report the best of the fresh seeds. Report their mean."
ONE = "You choose by the best single run of the tuning seeds. Choose by their mean."
MOST = "You choose the rate with the highest loss."
PULL_REQUEST = "You choose and report on all seeds, as the pull request does."

MISTAKES = (
    Mistake("all-choose", ALL_CHOOSE, {"choose": every}),
    Mistake("peeked", PEEKED, {"choose": reporting}),
    Mistake("tuned", TUNED, {"report": tuning}),
    Mistake("all-report", ALL_REPORT, {"report": every}),
    Mistake("luck", LUCK, {"report": luckiest}),
    Mistake("one-run", ONE, {"choose": lucky_tuning}),
    Mistake("most", MOST, {"best": max}),
    Mistake("pull-request", PULL_REQUEST, {"choose": every, "report": every}),
)

EXERCISE = Exercise(
    title="A score that may be reported",
    function="reported_loss",
    difficulty=1,
    minutes=5,
    prompt=(
        "A pull request adds a contender to the arena. It reports\n\n"
        "```python\nlosses.mean(1).min()\n```\n\n"
        "where `losses` has a row for each learning rate and a column for each seed. The first k seeds were run to "
        "tune, the others to report. Write `reported_loss(losses, k)`: one number that the same line of LoRA may be "
        "compared with."
    ),
    hints=(
        "Two decisions are made here: which rate, and what it reaches. Which seeds may speak in which?",
        "The rate is the row whose mean over the first k columns is least.",
        "`best = losses[:, :k].mean(1).argmin()`, then `losses[best, k:].mean()`.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
)
