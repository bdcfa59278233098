"""An exercise: what is asked, hints in a ladder, and a check that says which mistake was made."""

import html
from collections.abc import Callable
from dataclasses import dataclass, field

from lorabook.book.classroom.running import NotAttempted

PASSED = "public checks passed"
WAITING = "not attempted yet: replace `raise NotImplementedError()` by your code and run both cells again"


@dataclass(frozen=True)
class WrongAnswer:
    """A wrong answer for the bank, and what its author must be told."""

    answer: Callable
    gets: str


@dataclass(frozen=True)
class Exercise:
    """One exercise. `function` is the name the learner defines; `probe` returns the diagnosis, or None if all is right.

    Args:
        difficulty: 1 (a line) to 5 (an afternoon).
        probe: runs an answer on hidden random shapes; raises NotAttempted for the stub.
        bank: wrong answers that must be told apart.
    """

    title: str
    function: str
    difficulty: int
    minutes: int
    prompt: str
    hints: tuple[str, ...]
    probe: Callable[[object], str | None] = field(repr=False)
    bank: tuple[WrongAnswer, ...] = field(repr=False)

    def __post_init__(self) -> None:
        if not 1 <= self.difficulty <= 5:
            raise ValueError(f"{self.title}: difficulty is {self.difficulty}; it must be 1 to 5")


@dataclass(frozen=True)
class Shown:
    """A few lines of Markdown, as a notebook shows them and as a terminal does."""

    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/plain": self.text, "text/markdown": self.text}


@dataclass(frozen=True)
class Verdict:
    """What the check says. `mark` is ✓ right, ✗ wrong, ○ not attempted."""

    mark: str
    title: str
    says: str

    @property
    def passed(self) -> bool:
        return self.mark == "✓"

    def __repr__(self) -> str:
        return f"{self.mark} {self.title}: {self.says}"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        colour, line = {"✓": ("#009e73", "solid"), "✗": ("#d55e00", "dashed"), "○": ("#64748b", "dotted")}[self.mark]
        page = (
            f'<div role="status" style="border-left:4px {line} {colour};padding:.4em 1em;margin:.4em 0">'
            f"<b>{self.mark} {html.escape(self.title)}</b><br>{html.escape(self.says)}</div>"
        )
        return {"text/plain": repr(self), "text/html": page}


def show(exercise: Exercise) -> Shown:
    """Return the exercise's card: title, difficulty, minutes, what is asked."""
    dots = "●" * exercise.difficulty + "○" * (5 - exercise.difficulty)
    head = f"**{exercise.title}** — difficulty {dots}, about {exercise.minutes} minutes"
    return Shown(f"{head}\n\n{exercise.prompt}\n\n*{len(exercise.hints)} hints, if you want them.*")


def hint(exercise: Exercise, n: int) -> Shown:
    """Return hint n, counted from 1; each says more than the one before.

    Raises:
        ValueError: there is no such hint.
    """
    if not 1 <= n <= len(exercise.hints):
        raise ValueError(
            f"{exercise.title} has hints 1 to {len(exercise.hints)}, not {n}; after the last one, solution(…) shows "
            f"a solution"
        )
    return Shown(f"*Hint {n} of {len(exercise.hints)}.* {exercise.hints[n - 1]}")


def check(exercise: Exercise, answer: object) -> Verdict:
    """Return the verdict on a learner's function. It never raises for what the learner wrote."""
    try:
        fault = exercise.probe(answer)
    except NotAttempted:
        return Verdict("○", exercise.title, WAITING)
    return Verdict("✓", exercise.title, PASSED) if fault is None else Verdict("✗", exercise.title, fault)
