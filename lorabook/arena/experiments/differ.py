"""Which variants differ from LoRA once all are tuned, and which are only another rate."""

from collections.abc import Sequence

from lorabook.arena.budget import BUDGETS
from lorabook.arena.decide import decide
from lorabook.arena.experiment import Answer, Experiment, at, seeds_of
from lorabook.arena.job import Row
from lorabook.arena.methods import BASELINE, METHODS
from lorabook.arena.plan import baseline, best_rate, grouped, places
from lorabook.arena.summary import reported
from lorabook.arena.tasks import KJV, TASKS

SAME = ("rsLoRA", "LoRA α=16√8")
"""rsLoRA at r = 8 and α = 16 is LoRA at α = 16√8."""


def _answer(rows: Sequence[Row]) -> Answer:
    groups = grouped(rows)
    says, different = [], False
    for task in TASKS:
        seeds_of(rows, baseline(task.name))
        others = [
            place
            for place in places(METHODS, [task], BUDGETS[:1])
            if place.method != BASELINE and best_rate(groups[place]) and len(reported(groups[place])) >= 3
        ]
        verdicts = sorted(decide(rows, [(place, baseline(task.name)) for place in others]), key=lambda v: v.difference)
        words = {word: [v for v in verdicts if v.says == word] for word in ("better", "worse")}
        different |= bool(words["better"])
        alike = [v.place.method for v in verdicts if v.p >= 0.05]
        says.append(
            f"{task.name} ({task.unit}): better "
            + (", ".join(f"{v.place.method} {v.difference:+.3f}" for v in words["better"]) or "none")
            + "; no difference found " + (", ".join(alike) or "none")
            + "; worse " + (", ".join(f"{v.place.method} {v.difference:+.3f}" for v in words["worse"]) or "none")
        )  # fmt: skip
    one, other = (seeds_of(rows, at(name, KJV.name)) for name in SAME)
    gap = max(abs(one[seed].score - other[seed].score) for seed in one)
    says.append(f"{SAME[0]} and {SAME[1]} on kjv end {gap:.1g} nats apart at most")
    return Answer("yes" if different else "no", ". ".join(says))


DIFFER = Experiment(
    "differ",
    "At equal parameters, is any variant better than LoRA once each has its own rate?",
    (*places(METHODS, TASKS, BUDGETS), at(SAME[1], KJV.name)),
    _answer,
)
