"""Chapter 25's table: what a federation learns at every rank, under every recorded noise."""

import numpy as np

from lorabook.arena import federated_runs
from lorabook.arena.federated_losses import Losses, gathered
from lorabook.arena.federated_runs import DYLORA, NOISES, RANKS, ROUNDS, TRAINED
from lorabook.book.shown import Shown, table

Ends = dict[tuple[str, int], dict[float, np.ndarray]]
"""By what was trained and the rank that is served, then by noise: the loss after the last round, one of each seed."""


def recorded() -> Losses:
    """Return the losses of the record that the book ships."""
    return gathered(federated_runs.read())


def ends(losses: Losses) -> Ends:
    """Return the losses after the last round."""
    sides = [("LoRA", r, f"LoRA r={r}", 0) for r in TRAINED]
    sides += [(DYLORA, r, DYLORA, i) for i, r in enumerate(RANKS)]
    return {
        (name, r): {z: losses.scores[side, z][:, ROUNDS.index(ROUNDS[-1]), i] for z in NOISES}
        for name, r, side, i in sides
    }


def at_every_noise(losses: Losses) -> Shown:
    """Return the table: mean over the seeds, ± half of what they span, and the C that was best."""

    rows = [
        (name, r, *(f"{seeds.mean():.2f} ±{np.ptp(seeds) / 2:.2f}" for seeds in found.values()))
        for (name, r), found in ends(losses).items()
    ]
    most = f"LoRA r={TRAINED[-1]}"
    clips = ("the best C", f"{most}", *(f"{losses.clips[most, z]:g}" for z in NOISES))
    head = ["no noise" if z == 0 else f"σ/L = 1/{1 / z:g}" for z in NOISES]
    return table(("trained", "rank served", *head), [*rows, clips])
