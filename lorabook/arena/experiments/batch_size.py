"""Larger batches, as many tokens: do they cost LoRA more than full fine-tuning?"""

from collections.abc import Sequence

from lorabook.arena.experiment import FULL, LEVEL, Answer, Experiment, at, seeds_of, spread
from lorabook.arena.job import Row
from lorabook.arena.methods import BASELINE
from lorabook.arena.tasks import BATCHES, KJV

ON = (BATCHES[0], KJV, BATCHES[1])
RANKS = {8: BASELINE, 32: "LoRA r=32"}


def _answer(rows: Sequence[Row]) -> Answer:
    from scipy.stats import ttest_ind

    verdicts, says = [], []
    for r, name in RANKS.items():
        gaps = {task.batch: _gaps(rows, name, task.name) for task in ON}
        small, large = gaps[KJV.batch], gaps[BATCHES[1].batch]
        p = float(ttest_ind(large, small, equal_var=False).pvalue)
        verdicts.append(p < LEVEL and sum(large) > sum(small))
        each = ", ".join(f"batch {batch}: {spread(values)}" for batch, values in gaps.items())
        says.append(f"r = {r}, loss above full fine-tuning's: {each} nats (16 against 4: p = {p:.2g})")
    return Answer("yes" if all(verdicts) else "partly" if any(verdicts) else "not at this size", "; ".join(says))


def _gaps(rows: Sequence[Row], method: str, task: str) -> list[float]:
    lora, full = seeds_of(rows, at(method, task)), seeds_of(rows, at(FULL, task))
    return [lora[seed].score - full[seed].score for seed in lora]


BATCH_SIZE = Experiment(
    "batch-size",
    "Do larger batches cost LoRA more than full fine-tuning, whatever the rank?",
    tuple(at(name, task.name) for task in ON for name in (FULL, *RANKS.values())),
    _answer,
)
