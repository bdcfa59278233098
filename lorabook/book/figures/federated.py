"""Chapter 25's table: what a federation learns at every rank, under every recorded noise."""

import numpy as np

from lorabook.arena.federated_runs import DYLORA, FROZEN, NOISES, RANKS, ROUNDS, TRAINED
from lorabook.book.explore.privacy import Losses
from lorabook.book.shown import Shown, table


def ends(losses: Losses) -> dict[tuple[str, int], dict[float, np.ndarray]]:
    """Return the loss after the last round: by what was trained and the rank served, by noise, one of each seed."""
    sides = [("LoRA", r, f"LoRA r={r}", 0) for r in TRAINED]
    sides += [("A frozen", 8, FROZEN, 0)]
    sides += [(DYLORA, r, DYLORA, i) for i, r in enumerate(RANKS)]
    return {
        (name, r): {z: losses.scores[side, z][:, ROUNDS.index(ROUNDS[-1]), i] for z in NOISES}
        for name, r, side, i in sides
    }


def at_every_noise(losses: Losses) -> Shown:
    """Return the table: mean over the seeds, ± half of what they span."""
    rows = [
        (name, r, *(f"{seeds.mean():.2f} ±{np.ptp(seeds) / 2:.2f}" for seeds in by_noise.values()))
        for (name, r), by_noise in ends(losses).items()
    ]
    head = ["no noise" if z == 0 else f"σ/L = 1/{1 / z:g}" for z in NOISES]
    return table(("trained", "rank served", *head), rows)
