"""Does the order of the variants on the shipped base carry over to SmolLM2-135M?"""

from collections.abc import Sequence

from lorabook.arena.experiment import FULL, Answer, Experiment, at, mean, seeds_of
from lorabook.arena.job import Row
from lorabook.arena.methods import BASELINE
from lorabook.arena.tasks import KJV, ON_SMOLLM2

WHO = (BASELINE, FULL, "DoRA", "QLoRA", "rsLoRA", "PiSSA", "LoRA+", "VeRA")


def _answer(rows: Sequence[Row]) -> Answer:
    from scipy.stats import spearmanr

    gains = {task.name: [_gain(seeds_of(rows, at(name, task.name))) for name in WHO] for task in (KJV, ON_SMOLLM2)}
    found = spearmanr(*gains.values())
    rho, p = float(found.statistic), float(found.pvalue)
    orders = "; ".join(
        f"{task}: "
        + ", ".join(f"{name} {gain:.3f}" for gain, name in sorted(zip(each, WHO, strict=True), reverse=True))
        for task, each in gains.items()
    )
    verdict = "yes" if rho > 0 and p < 0.05 else "not at this size"
    return Answer(verdict, f"nats gained, {orders}; rank correlation {rho:.2f} (p = {p:.2g}, {len(WHO)} contenders)")


def _gain(rows: dict[int, Row]) -> float:
    return mean(rows, lambda row: row.start - row.score)


CARRIES_OVER = Experiment(
    "carries-over",
    "Is the order of the variants the same on SmolLM2-135M as on the shipped base?",
    tuple(at(name, task.name) for task in (KJV, ON_SMOLLM2) for name in WHO),
    _answer,
)
