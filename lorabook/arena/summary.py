"""What the record says of each contender: best and spread, regret, plateau, cost. It needs neither Dask nor scipy."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from lorabook.arena.job import Job, Row
from lorabook.arena.plan import REPORT_SEEDS, Place, baseline, best_rate, grouped, tuned

NEAR = 0.02
"""A rate belongs to the plateau if it keeps all but this share of the gain that the best rate brings."""


@dataclass(frozen=True)
class Summary:
    """A contender on a task with a budget, over the reporting seeds at its best rate.

    mean, spread: of the score, in the task's unit (standard deviation over seeds); start: the base's.
    regret: what is lost at LoRA's best rate, on the tuning seeds; None where LoRA has none yet.
    plateau: how many rates of the grid keep 98% of the best one's gain.
    """

    place: Place
    lr: float
    seeds: int
    size: int
    trained: int
    start: float
    mean: float
    spread: float
    regret: float | None
    plateau: int
    forgotten: float
    moved: float | None
    rank: float | None
    backward_bytes: int
    optimizer_bytes: int
    step_ratio: float


def summaries(rows: Iterable[Row]) -> list[Summary]:
    """Return one summary for every place whose best rate has run on at least two reporting seeds, best score first."""
    groups = grouped(rows)
    return sorted((s for place in sorted(groups) if (s := _summary(groups, place)) is not None), key=_order)


def finals(rows: Iterable[Row], place: Place) -> dict[int, float]:
    """Return the score of each reporting seed at the best rate of a place."""
    return {row.seed: row.score for row in reported(grouped(rows)[place])}


def reported(group: dict[Job, Row]) -> list[Row]:
    """Return the rows of a place at its best rate on the reporting seeds; none while the rate is not known."""
    lr = best_rate(group)
    return [
        row for job, row in sorted(group.items()) if job.lr == lr and job.seed in REPORT_SEEDS and row.score is not None
    ]


def _summary(groups: dict[Place, dict[Job, Row]], place: Place) -> Summary | None:
    found = reported(groups[place])
    if len(found) < 2:
        return None
    lr, scores = found[0].lr, tuned(groups[place])
    lora = best_rate(groups.get(baseline(place.task), {}))
    start = found[0].start
    return Summary(
        place, lr, len(found), found[0].size, found[0].trained, start,
        mean=statistics.fmean(row.score for row in found),
        spread=statistics.stdev(row.score for row in found),
        regret=scores[lora] - scores[lr] if lora in scores else None,
        plateau=sum(1 for score in scores.values() if start - score >= (1 - NEAR) * (start - scores[lr])),
        forgotten=statistics.fmean(row.forgotten for row in found),
        moved=_mean(row.moved for row in found),
        rank=_mean(row.rank for row in found),
        backward_bytes=found[0].backward_bytes,
        optimizer_bytes=found[0].optimizer_bytes,
        step_ratio=statistics.median(row.step_ratio for row in found),
    )  # fmt: skip


def _order(summary: Summary) -> tuple:
    return (summary.place.task, summary.mean)


def _mean(values: Iterable[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return statistics.fmean(numbers) if numbers else None
