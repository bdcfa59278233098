"""Losses at one final budget, out of the record of allocations: AdaLoRA, other choices of as many triplets, LoRA."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lorabook.arena import cut_runs
from lorabook.arena.allocation_runs import LOW, LOW_SEEDS, REPORT_SEEDS, AllocationRun, read, reported, tuned
from lorabook.arena.allocation_ways import TARGET, matrices
from lorabook.arena.experiment import at
from lorabook.arena.plan import best_rate, grouped
from lorabook.arena.record import Record
from lorabook.arena.summary import finals
from lorabook.arena.tasks import KJV


@dataclass(frozen=True)
class Ended:
    """The runs of one way at its tuned rate, by seed: where they end, and each matrix's rank.

    off: how far s|λ| is from the spectrum of ΔW, relative; not a number for LoRA.
    """

    lr: float
    scores: np.ndarray
    ranks: np.ndarray
    off: np.ndarray

    def row(self, name: str, other: "Ended") -> tuple[str, str, str, str]:
        """Return a row of a table: the rate, the mean, and the difference from another way on the same batches."""
        apart = self.scores - other.scores
        signed = f"{apart.mean():+.3f} ± {apart.std(ddof=1):.3f}".replace("-", "−")
        return name, f"{self.lr:.2g}", f"{self.scores.mean():.3f}", "" if self is other else signed

    def share(self, part: str) -> float:
        """Return which share of the ranks lies in matrices whose name has this part, mean over the seeds."""
        inside = [part in name for name in matrices()]
        return float(self.ranks[:, inside].sum() / self.ranks.sum())


def ended(way: str, target: int = TARGET, runs: Sequence[AllocationRun] | None = None) -> Ended:
    """Return the reported runs of a way at a mean rank.

    Raises:
        KeyError: the record lacks one of them.
    """
    runs = read() if runs is None else runs
    found = reported(runs, way, target)
    return Ended(
        tuned(runs, way),
        np.array([run.score for run in found]),
        np.array([run.ranks for run in found]),
        np.array([run.off for run in found], float),
    )


def uniform() -> Ended:
    """Return the arena's LoRA of rank 2 with the same seeds."""
    place, rows = at(f"LoRA r={TARGET}", KJV.name), Record().rows()
    scores = finals(rows, place)
    return _lora(best_rate(grouped(rows)[place]), [scores[seed] for seed in REPORT_SEEDS], TARGET)


def uniform_low() -> Ended:
    """Return chapter 18's LoRA of rank 1 with the same seeds."""
    side, runs = f"LoRA r={LOW}", cut_runs.read()
    lr = cut_runs.tuned(runs, side)
    scores = {run.seed: run.scores[cut_runs.SIDES[side].tuned_for][-1] for run in runs if run.key[:2] == (side, lr)}
    return _lora(lr, [scores[seed] for seed in LOW_SEEDS], LOW)


def _lora(lr: float, scores: Sequence[float], r: int) -> Ended:
    ranks = np.full((len(scores), len(matrices())), r)
    return Ended(lr, np.array(scores), ranks, np.full(len(scores), np.nan))
