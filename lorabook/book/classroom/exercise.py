"""An exercise: what is asked, the cases it is tried on, the right answer, the known mistakes, hints in a ladder."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Protocol, runtime_checkable

from lorabook.book.classroom import observe as observing
from lorabook.book.classroom.compare import CLOSE, close
from lorabook.book.classroom.plain import Value
from lorabook.book.classroom.seen import Seen

TRIES = 200


@runtime_checkable
class Case(Protocol):
    """One set of inputs, and whatever is known of it: a frozen dataclass with a property `given`."""

    @property
    def given(self) -> dict[str, object]:
        """Return the function's inputs by name and in order, of plain numbers; an `Array` comes as a tensor."""


@dataclass(frozen=True)
class Mistake:
    """A known way to be wrong: which choices of the answer's formula it makes differently, and what to say.

    Two mistakes that make different choices can be made at once, and are recognised together.

    Args:
        points: the share of the points that is due all the same.
    """

    code: str
    says: str
    choices: Mapping[str, Any]
    points: float = 0.0


@dataclass(frozen=True)
class Sign:
    """What can be seen of an answer without a formula: `shows(case, seen)`."""

    code: str
    says: str
    shows: Callable[[Any, Seen], bool]
    points: float = 0.0


class Unfit(Exception):
    """The values that came cannot be compared with what is due: why."""

    def __init__(self, code: str, says: str) -> None:
        super().__init__(says)
        self.code, self.says = code, says


def only_value(case: Case, seen: Seen) -> Value:
    """Return the value that came, as it is."""
    (value,) = seen.parts
    return value


@dataclass(frozen=True)
class Exercise:
    """One exercise. `function` is the name that the learner defines.

    Args:
        difficulty: 1 (a line) to 5 (an afternoon).
        draw: draws the cases from a random stream; it is asked again until they tell every mistake from every other.
        answer: answer(case, **choices) is the right value by default; each choice is one place to go wrong. None where
            the shapes do not fit.
        observe: what is written down of a call.
        measure: what of it is compared with the answer; raises Unfit.
        symptoms: signs of a wrong answer that no formula describes, asked after the mistakes.
        conditions: what else is asked of a right value; a condition is broken if its sign shows in one case.
    """

    title: str
    function: str
    difficulty: int
    minutes: int
    prompt: str
    hints: tuple[str, ...]
    draw: Callable[[random.Random], Sequence[Any]] = field(repr=False)
    answer: Callable[..., Value | None] = field(repr=False)
    mistakes: tuple[Mistake, ...] = field(repr=False)
    observe: observing.Observe = field(default=observing.value, repr=False)
    measure: Callable[[Any, Seen], Value] = field(default=only_value, repr=False)
    symptoms: tuple[Sign, ...] = field(default=(), repr=False)
    conditions: tuple[Sign, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if not 1 <= self.difficulty <= 5:
            raise ValueError(f"{self.title}: difficulty is {self.difficulty}; it must be 1 to 5")
        codes = [one.code for one in (*self.mistakes, *self.symptoms, *self.conditions)]
        twice = {code for code in codes if codes.count(code) > 1}
        if twice:
            raise ValueError(f"{self.title}: the code {min(twice)!r} stands for two mistakes; give each its own")

    def cases(self, seed: int) -> list[Any]:
        """Return the cases of a seed: the same seed, the same cases, and no mistake that could pass for another.

        Raises:
            ValueError: no draw tells all mistakes apart.
        """
        for attempt in range(TRIES):
            cases = list(self.draw(random.Random(f"{self.function} {seed} {attempt}")))
            clash = self._clash(cases)
            if clash is None:
                return cases
        raise ValueError(f"{self.title}: in {TRIES} draws the cases never told {clash[0]} from {clash[1]}")

    def _clash(self, cases: Sequence[Any]) -> tuple[str, str] | None:
        given = {"the right answer": [self.answer(case) for case in cases]}
        given |= {one.code: [self.answer(case, **one.choices) for case in cases] for one in self.mistakes}
        for one, other in combinations(given, 2):
            if all(_same(a, b) for a, b in zip(given[one], given[other], strict=True)):
                return one, other
        return None


def _same(a: Value | None, b: Value | None) -> bool:
    return a is b if a is None or b is None else close(a, b, within=20 * CLOSE)
