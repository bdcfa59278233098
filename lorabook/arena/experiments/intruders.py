"""New leading singular directions under LoRA and not under full fine-tuning; is what was forgotten in them?"""

import statistics
from collections.abc import Sequence

from lorabook.arena.experiment import FULL, LEVEL, Answer, Experiment, at, p_paired, seeds_of, spread
from lorabook.arena.job import Row
from lorabook.arena.methods import BASELINE
from lorabook.arena.on_intruders import SCALED, SHRUNK
from lorabook.arena.tasks import INTRUDERS

WHO = (FULL, "LoRA r=2", BASELINE, "LoRA r=32")


def _answer(rows: Sequence[Row]) -> Answer:
    counted = {
        name: [row.more["intruders"] for row in seeds_of(rows, at(name, INTRUDERS.name)).values()] for name in WHO
    }
    p = p_paired(counted[BASELINE], counted[FULL])
    more = p < LEVEL and sum(counted[BASELINE]) > sum(counted[FULL])
    lora = seeds_of(rows, at(BASELINE, INTRUDERS.name)).values()
    pairs = [pair for row in lora if (pair := _at_equal_learning(row)) is not None]
    count = "intruders among the 10 leading directions of a matrix: " + ", ".join(
        f"{name} {spread(each)}" for name, each in counted.items()
    )
    if len(pairs) < 3:
        return Answer("partly" if more else "no", f"{count} (p = {p:.2g}); too few of them to shrink")
    shrinking, scaling = zip(*pairs, strict=True)
    p_heals = p_paired(shrinking, scaling)
    heals = p_heals < LEVEL and statistics.fmean(shrinking) < statistics.fmean(scaling)
    verdict = "yes" if more and heals else "partly" if more or heals else "no"
    return Answer(
        verdict,
        f"{count} (LoRA against full: p = {p:.2g}); LoRA's intruders at {SHRUNK[1]:g} of their size leave "
        f"{statistics.fmean(shrinking):.3f} nats forgotten, ΔW made smaller as a whole until as much is still known "
        f"{statistics.fmean(scaling):.3f} (p = {p_heals:.2g}, {len(pairs)} seeds)",
    )


def _at_equal_learning(row: Row) -> tuple[float, float] | None:
    """Return what is forgotten with halved intruders, and with ΔW scaled down to the same score; None out of range."""
    unhurt = row.score, row.forgotten
    base = row.forgotten - row.more["unchanged: old"]  # minus the base's own loss
    score, forgotten = row.more[f"shrunk {SHRUNK[1]}: score"], row.more[f"shrunk {SHRUNK[1]}: old"] + base
    curve = [unhurt] + [(row.more[f"scaled {f}: score"], row.more[f"scaled {f}: old"] + base) for f in SCALED]
    for (low, before), (high, after) in zip(curve, curve[1:], strict=False):
        if low <= score <= high:
            return forgotten, before + (after - before) * (score - low) / max(high - low, 1e-12)
    return None


INTRUDER_DIRECTIONS = Experiment(
    "intruders",
    "Does LoRA bring leading singular directions that full fine-tuning does not, and does shrinking them heal?",
    tuple(at(name, INTRUDERS.name) for name in WHO),
    _answer,
)
