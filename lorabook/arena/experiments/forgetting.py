"""LoRA learns less and forgets less; at equal learning, who forgets less?"""

import statistics
from collections.abc import Sequence

from lorabook.arena.experiment import FULL, LEVEL, Answer, Experiment, Unanswered, at, p_paired
from lorabook.arena.job import REPORT_SEEDS, Row
from lorabook.arena.methods import BASELINE
from lorabook.arena.plan import Place, best_rate, curve_rates, grouped
from lorabook.arena.tasks import KJV

RANKS = {2: "LoRA r=2", 8: BASELINE, 32: "LoRA r=32"}
SHARE = 0.9
"""Compared where both have learnt this share of the most that LoRA learns on the same seed."""


def _answer(rows: Sequence[Row]) -> Answer:
    full = _curves(rows, at(FULL, KJV.name))
    says, p_values, gaps = [], [], []
    for r, name in RANKS.items():
        lora = _curves(rows, at(name, KJV.name))
        wanted = {seed: SHARE * max(gain for gain, _ in lora[seed]) for seed in lora}
        mine = [_forgotten_at(lora[seed], wanted[seed]) for seed in REPORT_SEEDS]
        theirs = [_forgotten_at(full[seed], wanted[seed]) for seed in REPORT_SEEDS]
        gaps.append(statistics.fmean(mine) - statistics.fmean(theirs))
        p_values.append(p_paired(mine, theirs))
        says.append(
            f"r = {r}, both {statistics.fmean(wanted.values()):.3f} nats better on the new text: "
            f"LoRA forgets {statistics.fmean(mine):.3f} nats, "
            f"full fine-tuning {statistics.fmean(theirs):.3f} (p = {p_values[-1]:.2g})"
        )
    found = [p < LEVEL / len(RANKS) for p in p_values]
    less = all(found) and all(gap < 0 for gap in gaps)
    return Answer("yes" if less else "no" if all(found) else "not at this size", "; ".join(says))


def _curves(rows: Sequence[Row], place: Place) -> dict[int, list[tuple[float, float]]]:
    """Return (learnt, forgotten) of each reporting seed, by growing rate up to the best."""
    group = grouped(rows)[place]
    best = best_rate(group)
    rates = [lr for lr in curve_rates(best) if lr <= best] if best else []
    found = {seed: [group.get(place.job(lr, seed)) for lr in rates] for seed in REPORT_SEEDS}
    if not rates or any(None in each for each in found.values()):
        raise Unanswered(f"{place.method} on {place.task} has not run at all rates of its curve yet")
    return {seed: [(row.start - row.score, row.forgotten) for row in each] for seed, each in found.items()}


def _forgotten_at(curve: list[tuple[float, float]], wanted: float) -> float:
    """Interpolate what was forgotten where so much was learnt.

    Raises:
        Unanswered: the curve does not reach it.
    """
    for (low, before), (high, after) in zip(curve, curve[1:], strict=False):
        if low <= wanted <= high:
            return before + (after - before) * (wanted - low) / (high - low)
    raise Unanswered(f"no two rates of a curve lie around {wanted:.3f} nats learnt")


FORGETTING = Experiment(
    "forgetting",
    "At equal learning, does LoRA forget less than full fine-tuning?",
    tuple(at(name, KJV.name) for name in (FULL, *RANKS.values())),
    _answer,
    curves=tuple(at(name, KJV.name) for name in (FULL, *RANKS.values())),
)
