"""More and more facts for one matrix: a rank leaves the others when it is full."""

from collections.abc import Sequence

from lorabook.arena.experiment import Answer, Experiment, at, mean, seeds_of
from lorabook.arena.job import Row
from lorabook.arena.tasks import CAPACITY

RANKS = {1: "LoRA r=1", 4: "LoRA r=4", 16: "LoRA r=16"}
BEHIND = 0.9
"""A rank has left the others when it holds less than this share of what the largest rank holds."""


def _answer(rows: Sequence[Row]) -> Answer:
    bits = {
        r: {task.n: mean(seeds_of(rows, at(name, task.name)), lambda row: row.more["bits"]) for task in CAPACITY}
        for r, name in RANKS.items()
    }
    trained = {r: seeds_of(rows, at(name, CAPACITY[0].name))[0].trained for r, name in RANKS.items()}
    largest = max(RANKS)
    leaves = {
        r: next((n for n in held if held[n] < BEHIND * bits[largest][n]), None)
        for r, held in bits.items()
        if r != largest
    }
    known = list(leaves.values())
    ordered = all(n is not None for n in known) and known == sorted(known) and len(set(known)) == len(known)
    each = "; ".join(
        f"r = {r} ({trained[r]:,} numbers): {', '.join(f'{n} facts {held[n]:.0f} bits' for n in held)}, "
        f"at most {max(held.values()) / trained[r]:.2f} bits a number"
        for r, held in bits.items()
    )
    left = ", ".join(f"r = {r} {'at no n' if n is None else f'at {n} facts'}" for r, n in leaves.items())
    return Answer("yes" if ordered else "partly" if any(known) else "not at this size", f"{each}; left behind: {left}")


CAPACITY_OF_RANK = Experiment(
    "capacity",
    "Does a rank fall behind when its numbers are full, small ranks first, and how many bits does a number hold?",
    tuple(at(name, task.name) for task in CAPACITY for name in RANKS.values()),
    _answer,
)
