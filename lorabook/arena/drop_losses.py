"""The recorded runs of LoRA-drop and of what stands beside it, as the chapter and its explorer read them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lorabook.arena import cut_runs
from lorabook.arena.drop_runs import ALL, REPORT_SEEDS, THRESHOLDS, DropRun, read, tuned
from lorabook.arena.drop_ways import EFFECT, WAYS

STOPS = (*THRESHOLDS, ALL)
LORA_RANKS = (1, 2, 4, 8)


@dataclass(frozen=True)
class Recorded:
    """The runs of the report seeds at their tuned rates by (way, threshold, seed), and what the first phase measured.

    `effect` and `size` are shares by seed; `lora` is LoRA on every layer by rank: the losses of its seeds.
    """

    runs: Mapping[tuple[str, float, int], DropRun]
    effect: Mapping[int, tuple[float, ...]]
    size: Mapping[int, tuple[float, ...]]
    lora: Mapping[int, np.ndarray]
    start: float

    def losses(self, way: str, t: float) -> np.ndarray:
        """Return the loss of every seed."""
        return np.array([self.runs[way, t, seed].score for seed in REPORT_SEEDS])

    def numbers(self, way: str, t: float) -> float:
        """Return how many numbers train, mean over the seeds."""
        return float(np.mean([self.runs[way, t, seed].trained for seed in REPORT_SEEDS]))


def recorded() -> Recorded:
    """Return what the book ships."""
    return gathered(read(), cut_runs.read())


def gathered(runs: Sequence[DropRun], loras: Sequence[cut_runs.CutRun]) -> Recorded:
    """Return the runs of the report seeds; where every layer keeps its own, the ways are one.

    Raises:
        ValueError: a way lacks a run at a threshold.
    """
    by_key = {run.key: run for run in runs}
    found = {}
    for t in STOPS:
        for way in WAYS:
            ran = EFFECT if t == ALL else way
            step = tuned(runs, ran, t)
            for seed in REPORT_SEEDS:
                if step is None or (ran, t, step, seed) not in by_key:
                    raise ValueError(
                        f"the record lacks {ran} at T = {t}, seed {seed}: arena.drop_runs.record() adds it"
                    )
                found[way, t, seed] = by_key[ran, t, step, seed]
    whole = {seed: found[EFFECT, ALL, seed] for seed in REPORT_SEEDS}
    effect = {seed: run.effect for seed, run in whole.items()}
    size = {seed: run.size for seed, run in whole.items()}
    return Recorded(found, effect, size, {r: _lora(loras, r) for r in LORA_RANKS}, runs[0].start)


def _lora(loras: Sequence[cut_runs.CutRun], r: int) -> np.ndarray:
    side = cut_runs.PLAIN if r == cut_runs.R else f"LoRA r={r}"
    lr, cut = cut_runs.tuned(loras, side), cut_runs.SIDES[side].tuned_for
    keys = [(side, lr, seed) for seed in cut_runs.REPORT_SEEDS]
    scores = {run.key: run.scores[cut][-1] for run in loras if run.side == side}
    return np.array([scores[key] for key in keys])
