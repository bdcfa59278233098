"""What the recorded federations learned, as arrays: by side and noise, seeds × rounds × ranks served."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lorabook.arena.federated_runs import COHORT, ROUNDS, SEEDS, TRAINED, FederatedRun


@dataclass(frozen=True)
class Losses:
    """By side and noise the losses of the report seeds at the best C: seed × rounds × served rank."""

    scores: dict[tuple[str, float], np.ndarray]
    clips: dict[tuple[str, float], float]
    start: float

    def at(self, side: str, z: float, rounds: int) -> np.ndarray:
        """Return mean, least and most of the seeds, a column a rank."""
        values = self.scores[side, z][:, ROUNDS.index(rounds)]
        return np.stack([values.mean(0), values.min(0), values.max(0)])

    def lora(self, z: float, rounds: int) -> np.ndarray:
        """Return the same for LoRA trained at each of `TRAINED`."""
        return np.concatenate([self.at(f"LoRA r={r}", z, rounds) for r in TRAINED], axis=1)


def gathered(runs: Sequence[FederatedRun]) -> Losses:
    """Return what was measured on the report seeds, with `COHORT` clients a round.

    Raises:
        ValueError: a side has not all report seeds at some noise.
    """
    found: dict[tuple[str, float], dict[int, FederatedRun]] = {}
    for run in runs:
        if run.seed in SEEDS and run.cohort == COHORT:
            found.setdefault((run.side, run.z), {})[run.seed] = run
    for (side, z), seeds in found.items():
        if sorted(seeds) != sorted(SEEDS):
            raise ValueError(f"{side} at z = {z:g}: the record has the seeds {sorted(seeds)}, not {list(SEEDS)}")
    scores = {key: np.array([seeds[seed].scores for seed in SEEDS]) for key, seeds in found.items()}
    return Losses(scores, {key: seeds[SEEDS[0]].C for key, seeds in found.items()}, runs[0].start)
