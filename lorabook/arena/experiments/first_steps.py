"""At equal α the first steps are alike for every rank: the step that Adam takes does not know r."""

import statistics
from collections.abc import Sequence

from lorabook.arena.experiment import Answer, Experiment, Unanswered, at
from lorabook.arena.experiments.best_rate import RANKS
from lorabook.arena.job import TUNING_SEEDS, Row
from lorabook.arena.methods import BASELINE
from lorabook.arena.plan import Place, baseline, best_rate, grouped
from lorabook.arena.run import EVERY
from lorabook.arena.tasks import KJV

ALIKE = 0.05
"""Curves are alike while they differ by less than this share of what is learnt in the end."""
EQUAL_SCALE = {2: "LoRA r=2", 8: BASELINE, 32: "LoRA r=32"}


def _answer(rows: Sequence[Row]) -> Answer:
    equal_alpha, equal_scale = (_apart(rows, names) for names in (RANKS, EQUAL_SCALE))
    early = 10 // EVERY
    return Answer(
        "yes" if max(equal_alpha[1 : early + 1]) < ALIKE else "no",
        "at LoRA's best rate the curves of r = 2 … 64 at α = 16 lie apart, as a share of what is learnt in the end, by "
        f"{_said(equal_alpha)}; of r = 2, 8, 32 at α = 2r by {_said(equal_scale)}",
    )


def _apart(rows: Sequence[Row], names: dict[int, str]) -> list[float]:
    """Return, for each point of the curves, largest minus smallest training loss over the drop from start to end.

    Not over the drop so far: at a rate that is best for the whole, the loss may rise before it falls.
    """
    points = list(zip(*(_curve(rows, at(name, KJV.name)) for name in names.values()), strict=True))
    learnt = statistics.fmean(points[0]) - statistics.fmean(points[-1])
    return [(max(point) - min(point)) / learnt for point in points]


def _curve(rows: Sequence[Row], place: Place) -> list[float]:
    groups = grouped(rows)
    lr = best_rate(groups[baseline(place.task)])
    found = [groups[place].get(place.job(lr, seed)) for seed in TUNING_SEEDS] if lr else [None]
    if None in found:
        raise Unanswered(f"{place.method} on {place.task} has not run at LoRA's best rate yet")
    return [statistics.fmean(point) for point in zip(*(row.curve for row in found), strict=True)]


def _said(shares: list[float]) -> str:
    steps = {5: 1, 10: 2, 20: 4, 40: 8, "the end": len(shares) - 1}
    return ", ".join(f"{shares[i]:.1%} at {'step ' if step != 'the end' else ''}{step}" for step, i in steps.items())


FIRST_STEPS = Experiment(
    "first-steps",
    "At equal α, are the first steps alike for every rank?",
    tuple(at(name, KJV.name) for name in (*RANKS.values(), *EQUAL_SCALE.values())),
    _answer,
)
