"""The arena's record as the training explorer reads it: by where the knobs stand, never by a number of its own."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, replace

from lorabook.arena.budget import budgets_of, method_named
from lorabook.arena.job import Row
from lorabook.arena.plan import Place, best_rate, grouped
from lorabook.arena.run import EVERY
from lorabook.book.explore.training_state import State, at
from lorabook.book.explore.training_variants import LORA, VARIANTS

PARTS = {"LoRA on attention": "attention", "LoRA on MLP": "MLP"}
"""The arena's contenders that differ from LoRA in their targets."""
OF_LORA = tuple(f"LoRA r={r}" for r in (1, 2, 4, 16, 32, 64))
"""Those that differ from it in their size."""
LARGER_FACTOR = "LoKr factor=8"


@dataclass(frozen=True)
class Recorded:
    """The finished rows of one base on its task, each by the knobs that make it again."""

    groups: dict[Place, dict]
    rows: dict[State, Row]
    task: str
    model: str

    def rate(self, variant: str) -> float | None:
        """Return a variant's tuned rate; None while the record does not know it."""
        return best_rate(self.groups.get(self._place(variant), {}))

    def size(self, variant: str) -> int | None:
        """Return the size that a variant was given for the equal budget, or for its own where it has no other."""
        return next((row.size for row in self.groups.get(self._place(variant), {}).values() if row.size), None)

    def sizes(self, variant: str) -> tuple[int, ...]:
        """Return every size that a variant has run with."""
        return tuple({row.size for state, row in self.rows.items() if state.variant == variant and row.size})

    def knobs(self, variant: str, seed: int) -> State:
        """Return where a variant's knobs stand: at its recorded size and tuned rate, else where its search begins."""
        method = method_named(variant)
        size = self.size(variant) or method.own or 8
        return at(variant, size, self.rate(variant) or method.first_rate, self.model, seed)

    def tuned(self, variant: str, seed: int) -> State | None:
        """Return the knobs of a variant's run at its tuned rate with this seed; None where there is no such row."""
        knobs = None if self.rate(variant) is None else self.knobs(variant, seed)
        return knobs if knobs in self.rows else None

    def step_ratio(self, variant: str) -> float | None:
        """Return the time of a variant's step over LoRA's, where the record has it."""
        if variant == LORA:
            return 1.0
        ratios = [row.step_ratio for state, row in self.rows.items() if state.variant == variant and row.step_ratio]
        return statistics.median(ratios) if ratios else None

    @property
    def start(self) -> float | None:
        """The base's own loss on the validation text."""
        return next((row.start for row in self.rows.values()), None)

    def made_with(self, base: str) -> "Recorded":
        """Return the rows that were made with the weights of this fingerprint, and no others."""
        kept = [row for row in self.rows.values() if row.base == base]
        return recorded(kept, self.task, self.model)

    def _place(self, variant: str) -> Place:
        return Place(variant, self.task, budgets_of(method_named(variant))[0])


def recorded(rows: Iterable[Row], task: str, model: str) -> Recorded:
    """Return the rows of a task, with the name that the explorer has for its base."""
    own = [row for row in rows if row.task == task]
    by_knobs = {knobs: row for row in own if row.score is not None and (knobs := _knobs(row, model)) is not None}
    return Recorded(dict(grouped(own)), by_knobs, task, model)


def steps_of(curve: tuple[float, ...], steps: int) -> list[int]:
    """Return the steps, from 1, of the points of a recorded curve."""
    return [min(1 + EVERY * i, steps) for i in range(len(curve))]


def thinned(losses: list[float]) -> tuple[list[int], list[float]]:
    """Return the points of a run that a record would keep, and their steps."""
    last = len(losses) - 1
    kept = [i for i in range(len(losses)) if i % EVERY == 0 or i == last]
    return [i + 1 for i in kept], [losses[i] for i in kept]


def _knobs(row: Row, model: str) -> State | None:
    """Return the knobs that make a row's contender; None where the explorer has none for it."""
    if row.method in VARIANTS:
        return at(row.method, row.size, row.lr, model, row.seed)
    if row.method in OF_LORA or row.method in PARTS:
        return at(LORA, row.size, row.lr, model, row.seed, PARTS.get(row.method, "all seven"))
    if row.method == LARGER_FACTOR:
        return replace(at("LoKr", row.size, row.lr, model, row.seed), own=8)
    return None
