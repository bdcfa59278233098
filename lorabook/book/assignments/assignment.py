"""An assignment: parts that are observed in a child each, and judged from what came back."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from lorabook.book.assignments.file_part import FilePart
from lorabook.book.assignments.rules import Rules
from lorabook.book.classroom.judge import NO_REPORT, Judgement
from lorabook.book.classroom.observe import FINAL, Observe
from lorabook.book.classroom.seen import Seen
from lorabook.book.classroom.taken import taken

BUNDLE = "handed_in"
"""The name of the function that a child calls."""


@runtime_checkable
class Judge(Protocol):
    """How the observations of a part become a judgement; `codes` are those whose text is the book's, inputs apart."""

    @property
    def codes(self) -> frozenset[str]: ...

    def __call__(self, trials: Sequence[Any], seen: Sequence[Seen]) -> Judgement: ...


@dataclass(frozen=True)
class Part:
    """One part of an assignment.

    Args:
        names: what a notebook defines for it; without the first there is nothing to grade.
        share: of the assignment's points.
        draw: draws the trials from a random stream: what the child is given, and what the judge knows of it.
    """

    title: str
    names: tuple[str, ...]
    share: float
    prompt: str
    stub: str = field(repr=False)
    rules: Rules = field(repr=False)
    draw: Callable[[random.Random], Sequence[Any]] = field(repr=False)
    observe: Observe = field(repr=False)
    judge: Judge = field(repr=False)

    @property
    def name(self) -> str:
        return self.names[0]

    def cases(self, seed: int) -> list[Any]:
        """Return the trials of a seed: the same seed, the same trials."""
        return list(self.draw(random.Random(f"{self.name} {seed}")))

    def judged(self, trials: Sequence[Any], seen: Sequence[Seen]) -> Judgement:
        """Return the judgement on one observation for each trial."""
        final = [one for one in seen if one.fault in FINAL or (one.fault and len(seen) != len(trials))]
        if final:
            return Judgement(final[0].fault, final[0].says, 0.0)
        return self.judge(trials, seen) if len(seen) == len(trials) else NO_REPORT

    def source(self, cells: Sequence[str]) -> str | None:
        """Return the code of a notebook that this part needs; None where the part's first name is not defined."""
        if taken(cells, self.name) is None:
            return None
        known = ", ".join(name for name in self.names if taken(cells, name) is not None)
        return taken([*cells, f"{BUNDLE} = ({known},)"], BUNDLE).rpartition("\n")[0]

    def bundled(self, source: str) -> str:
        """Return that code with a function `handed_in`, which gives all that it defines: None for what failed."""
        values = ", ".join(f"globals().get({name!r})" for name in self.names)
        return f"{source}\n{BUNDLE} = lambda: ({values},)"


@dataclass(frozen=True)
class Assignment:
    """An assignment: what is asked for as a whole, what its notebook starts with, and its parts."""

    title: str
    minutes: int
    prompt: str
    setup: str
    parts: tuple[Part | FilePart, ...]

    def __post_init__(self) -> None:
        total = sum(part.share for part in self.parts)
        if abs(total - 1) > 1e-9:
            raise ValueError(f"{self.title}: the parts share {total:g} of its points; they must share 1")
