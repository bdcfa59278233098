"""Losses at one final budget, out of the record of allocations: AdaLoRA, other choices, LoRA."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lorabook.arena.allocation_runs import AllocationRun, read, reported, tuned
from lorabook.arena.allocation_ways import TARGET

MINUS = "−"


@dataclass(frozen=True)
class Ended:
    """The runs of one way at one budget: where they end, by seed, at which rate, and with which ranks."""

    lr: float
    scores: np.ndarray
    ranks: np.ndarray
    off: np.ndarray
    back: np.ndarray


def ended(way: str, target: int = TARGET, runs: Sequence[AllocationRun] | None = None) -> Ended:
    """Return the reported runs of a way at its tuned rate.

    Raises:
        KeyError: the record lacks one of them.
    """
    runs = read() if runs is None else runs
    found = reported(runs, way, target)
    return Ended(
        tuned(runs, way, target),
        np.array([run.score for run in found]),
        np.array([run.ranks for run in found]),
        np.array([np.nan if run.off is None else run.off for run in found]),
        np.array([run.back for run in found]),
    )


def row(name: str, mine: Ended, lora: Ended) -> tuple[str, str, str, str]:
    """Return a row of a table: the name, the rate, the mean with the spread of the seeds, and how far from LoRA."""
    apart = mine.scores - lora.scores
    signed = f"{apart.mean():+.3f} ± {apart.std(ddof=1):.3f}".replace("-", MINUS)
    return name, f"{mine.lr:.2g}", f"{mine.scores.mean():.3f}", "" if mine is lora else signed
