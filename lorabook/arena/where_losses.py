"""The losses of the recorded choices among the seven matrices, as chapters and explorers read them."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lorabook.arena.where_runs import CHOICES, EVERYWHERE, REPORT_SEEDS, WhereRun, read, tuned


@dataclass(frozen=True)
class Losses:
    """The loss of every recorded choice at its own rate, mean over the report seeds, and that of the base."""

    of: Mapping[str, float]
    start: float

    def share(self, where: str) -> float:
        """Return what a choice gains over the base, as a share of what all seven gain."""
        return (self.start - self.of[where]) / (self.start - self.of[EVERYWHERE])


def gathered(runs: Sequence[WhereRun]) -> Losses:
    """Return the losses of a record.

    Raises:
        ValueError: a choice lacks a run.
    """
    scores = {(run.where, run.step, run.seed): run.score for run in runs}
    found = {}
    for where in CHOICES:
        step = tuned([run for run in runs if run.where == where], where)
        keys = [(where, step, seed) for seed in REPORT_SEEDS]
        if not scores.keys() >= set(keys):
            raise ValueError(f"the record lacks a run of adapters on {where}: arena.where_runs.record() adds it")
        found[where] = statistics.fmean(scores[key] for key in keys)
    return Losses(found, runs[0].start)


def recorded() -> Losses:
    """Return the losses that the book ships."""
    return gathered(read())
