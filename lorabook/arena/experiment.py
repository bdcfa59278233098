"""An experiment: a question, the runs that it needs, and what the record answers."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lorabook.arena.budget import budgets_of, method_named
from lorabook.arena.job import Row
from lorabook.arena.plan import Place, around, best_rate, grouped, reporting, tuned
from lorabook.arena.summary import reported

FULL = "full fine-tuning"
LEVEL = 0.05


class Answer(NamedTuple):
    """What was found, "yes", "no", "partly" or "not at this size", and the numbers that say so."""

    verdict: str
    says: str


class Unanswered(ValueError):
    """The record lacks runs that this experiment needs; the message names one."""


@dataclass(frozen=True)
class Experiment:
    """A question that runs of the arena settle.

    places: who is tuned and reported for it; curves: who runs at the rates around the best one as well.
    answer: reads the record; raises Unanswered while runs are missing.
    """

    name: str
    question: str
    places: tuple[Place, ...]
    answer: Callable[[Sequence[Row]], Answer]
    curves: tuple[Place, ...] = ()


def at(method: str, task: str) -> Place:
    """Return a contender on a task under the first budget that it runs with."""
    return Place(method, task, budgets_of(method_named(method))[0])


def rate(rows: Sequence[Row], place: Place) -> float:
    """Return the best rate of a place, between the points of its grid: the vertex of the parabola over log₂ η.

    Raises:
        Unanswered: it is not known yet.
    """
    group = grouped(rows)[place]
    best = best_rate(group)
    if best is None:
        raise Unanswered(f"the best rate of {place.method} on {place.task} is not in the record yet")
    scores = tuned(group)
    left, middle, right = (scores[lr] for lr in around(best))
    curvature = left - 2 * middle + right
    return best * 2.0 ** ((left - right) / (4 * curvature)) if 0 < curvature < math.inf else best


def seeds_of(rows: Sequence[Row], place: Place) -> dict[int, Row]:
    """Return the row of every reporting seed at the best rate of a place.

    Raises:
        Unanswered: one is missing.
    """
    found = {row.seed: row for row in reported(grouped(rows)[place])}
    missing = [seed for seed in reporting(place) if seed not in found]
    if missing:
        raise Unanswered(f"{place.method} on {place.task} has no row for seed {missing[0]} yet")
    return found


def mean(rows: dict[int, Row], what: Callable[[Row], float]) -> float:
    """Return the mean over seeds of a number of their rows."""
    return statistics.fmean(map(what, rows.values()))


def p_paired(a: Sequence[float], b: Sequence[float]) -> float:
    """Return p of the paired t; 1 where all pairs are equal."""
    from scipy.stats import ttest_rel

    return 1.0 if list(a) == list(b) else float(ttest_rel(a, b).pvalue)


def spread(values: Sequence[float]) -> str:
    """Write mean ± standard deviation."""
    return f"{statistics.fmean(values):.3f} ± {statistics.stdev(values):.3f}"
