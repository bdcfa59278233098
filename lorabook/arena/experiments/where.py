"""Equal parameters on attention alone, on the MLP alone, everywhere."""

from collections.abc import Sequence

from lorabook.arena.decide import decide
from lorabook.arena.experiment import Answer, Experiment, at, seeds_of
from lorabook.arena.job import Row
from lorabook.arena.methods import BASELINE
from lorabook.arena.tasks import FACTS, KJV

ATTENTION, MLP = "LoRA on attention", "LoRA on MLP"
ON = (KJV, FACTS)


def _answer(rows: Sequence[Row]) -> Answer:
    pairs = [
        (at(one, task.name), at(other, task.name))
        for task in ON
        for one, other in ((ATTENTION, BASELINE), (MLP, BASELINE), (ATTENTION, MLP))
    ]
    for place in dict.fromkeys(place for pair in pairs for place in pair):
        seeds_of(rows, place)
    verdicts = decide(rows, pairs)
    says = "; ".join(
        f"{v.place.task}: {v.place.method} against {v.other.method if v.other.method != BASELINE else 'everywhere'} "
        f"{v.difference:+.3f} nats, {v.says} (p = {v.p:.2g}, visible {v.visible:.3f})"
        for v in verdicts
    )
    worse = [v.says == "worse" for v in verdicts if v.place.method == ATTENTION]
    return Answer("yes" if all(worse) else "partly" if any(worse) else "not at this size", says)


WHERE = Experiment(
    "where",
    "At equal parameters, is LoRA on attention alone worse than on the MLP, and than everywhere?",
    tuple(at(name, task.name) for task in ON for name in (BASELINE, ATTENTION, MLP)),
    _answer,
)
