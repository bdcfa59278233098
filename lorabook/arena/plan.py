"""What to run next, from what has been run: a pure function of the record, so that a sweep goes on where it stopped.

For every contender, task and budget, three stages:
1. its rate: powers of two times 10⁻³, from its first rate outwards, until the best of them has one on either side,
   then the powers of √2 beside the best (two contenders that differ in scale alone have best rates apart by any factor:
   half a doubling off costs as much as most of them differ);
2. LoRA's best rate too, for the regret of one who keeps it;
3. its best rate again, on seeds that did not choose it.

The first run of a contender on a task goes alone: if the library refuses it there, nothing more is asked.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from lorabook.arena.budget import budgets_of, method_named, task_named
from lorabook.arena.job import REPORT_SEEDS, TUNING_SEEDS, Job, Row
from lorabook.arena.method import Method
from lorabook.arena.methods import BASELINE
from lorabook.arena.task import Task

TYPICAL_RATES = 7
"""How many rates a contender needs, for an estimate before its search has begun."""
UNIT = 1e-3
FEW = 5
"""Seeds where something is reported and nothing decided."""
CURVE = range(-4, 2)
"""Doublings away from the best rate, for a curve of what is learnt and forgotten over rates."""


class Place(NamedTuple):
    """A contender on a task with a budget: what has a best rate of its own."""

    method: str
    task: str
    budget: str

    def job(self, lr: float, seed: int) -> Job:
        """Return one run here."""
        return Job(self.method, self.task, self.budget, lr, seed)


def baseline(task: str) -> Place:
    """Return the place that the others of a task are compared with."""
    return Place(BASELINE, task, "equal")


def places(methods: Iterable[Method], tasks: Iterable[Task], budgets: Sequence[str]) -> list[Place]:
    """Return every place there is."""
    return [
        Place(method.name, task.name, budget)
        for task in tasks
        for method in methods
        for budget in budgets_of(method)
        if budget in budgets
    ]


def grouped(rows: Iterable[Row]) -> dict[Place, dict[Job, Row]]:
    """Return the rows of each place by their job; a place without a row has an empty group."""
    groups: dict[Place, dict[Job, Row]] = defaultdict(dict)
    for row in rows:
        groups[Place(row.method, row.task, row.budget)][row.job] = row
    return groups


def next_jobs(rows: Iterable[Row], places: Sequence[Place], curves: Sequence[Place] = ()) -> list[Job]:
    """Return the runs that can be asked for now and have no row yet; none when the record is complete.

    Args:
        places: who is tuned and reported; LoRA's first, for the others ask for its best rate.
        curves: places that run on the reporting seeds at the rates around their best one too (`curve_rates`).
    """
    groups = grouped(rows)
    ordered = sorted(dict.fromkeys(places), key=lambda place: place != baseline(place.task))
    jobs = [job for place in ordered for job in _of_place(place, groups)]
    jobs += [
        place.job(lr, seed)
        for place in curves
        if best_rate(groups[place]) is not None
        for lr in curve_rates(best_rate(groups[place]))
        for seed in reporting(place)
    ]
    return [job for job in dict.fromkeys(jobs) if job not in groups[Place(job.method, job.task, job.budget)]]


def left(rows: Iterable[Row], places: Sequence[Place], curves: Sequence[Place] = ()) -> dict[str, int]:
    """Estimate how many runs each task still takes; exact where the rate of a contender is known."""
    groups = grouped(rows)
    runs = dict.fromkeys((place.task for place in places), 0)
    for place in dict.fromkeys(places):
        done = groups[place]
        if _refused(done):
            continue
        rates = TYPICAL_RATES if best_rate(done) is None else 0
        tried = sum(1 for job in done if job.seed in TUNING_SEEDS)
        reported = sum(1 for job in done if job.seed in REPORT_SEEDS)
        tuning = max(2, rates * len(TUNING_SEEDS) - tried) if rates else 0
        wanted = len(reporting(place)) * (len(CURVE) if place in curves else 1)
        runs[place.task] += tuning + max(0, wanted - reported)
    return runs


def tuned(group: dict[Job, Row]) -> dict[float, float]:
    """Return the mean score over the tuning seeds for each rate that has them all; infinite where one diverged."""
    scores: dict[float, list[float]] = defaultdict(list)
    for job, row in sorted(group.items()):
        if job.seed in TUNING_SEEDS:
            scores[job.lr].append(_score(row))
    return {lr: statistics.fmean(each) for lr, each in scores.items() if len(each) == len(TUNING_SEEDS)}


def best_rate(group: dict[Job, Row]) -> float | None:
    """Return the best rate of a place once it has a worse one a √2 away on either side; None before, or if refused."""
    scores = tuned(group)
    if not scores or _refused(group) or _beside(scores):
        return None
    best = min(scores, key=scores.__getitem__)
    return best if math.isfinite(scores[best]) else None


def around(best: float) -> tuple[float, float, float]:
    """Return the rates that a best one is surrounded by: a √2 below, itself, a √2 above."""
    return _next(best, -0.5), best, _next(best, 0.5)


def reporting(place: Place) -> tuple[int, ...]:
    """Return the seeds that are reported here: five at a paper's own size, where its equal one is what is decided."""
    second = place.budget == "own" and "equal" in budgets_of(method_named(place.method))
    return REPORT_SEEDS[: min(FEW if second else len(REPORT_SEEDS), task_named(place.task).seeds)]


def curve_rates(best: float) -> list[float]:
    """Return the rates from a sixteenth of the best one to twice as much."""
    return [_next(best, step) for step in CURVE]


def _of_place(place: Place, groups: dict[Place, dict[Job, Row]]) -> list[Job]:
    group, first_rate = groups[place], method_named(place.method).first_rate
    if _refused(group):
        return []
    if not group:
        return [place.job(_rates_to_try({}, first_rate)[0], TUNING_SEEDS[0])]
    best = best_rate(group)
    if best is None:
        return [place.job(lr, seed) for lr in _rates_to_try(tuned(group), first_rate) for seed in TUNING_SEEDS]
    jobs = [place.job(best, seed) for seed in reporting(place)]
    lora = best_rate(groups[baseline(place.task)])
    if lora is not None:
        jobs += [place.job(lora, seed) for seed in TUNING_SEEDS]
    return jobs


def _rates_to_try(scores: dict[float, float], first_rate: float) -> list[float]:
    """Return the first rate and its neighbours, or what is missing beside the best so far."""
    if not scores:
        middle = _next(UNIT * 2.0 ** round(math.log2(first_rate / UNIT)), 0)
        return [middle, _next(middle, -1), _next(middle, 1)]
    return _beside(scores)


def _beside(scores: dict[float, float]) -> list[float]:
    """Return the rates that are missing beside the best so far: first a doubling away, then half of it."""
    best = min(scores, key=scores.__getitem__)
    whole, half = ([lr for lr in (_next(best, -d), _next(best, d)) if lr not in scores] for d in (1.0, 0.5))
    return (whole or half) if half else []


def _next(lr: float, doublings: float) -> float:
    """Return the rate so many doublings away, always the same number: a power of √2 times one unit."""
    return UNIT * 2.0 ** (round(2 * (math.log2(lr / UNIT) + doublings)) / 2)


def _refused(group: dict[Job, Row]) -> bool:
    return any(row.state == "refused" for row in group.values())


def _score(row: Row) -> float:
    return math.inf if row.score is None or not math.isfinite(row.score) else row.score
