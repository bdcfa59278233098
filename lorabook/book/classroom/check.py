"""Check an answer in the notebook: cases from a fresh seed, one limit for all of them, and the verdict comes last."""

import html
import secrets
from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise
from lorabook.book.classroom.judge import NOT_ATTEMPTED, RIGHT, Judgement, judge
from lorabook.book.classroom.keep import exit_raises, prints_bounded, settings_kept
from lorabook.book.classroom.limits import limit
from lorabook.book.classroom.observe import observed

SECONDS = 5.0


@dataclass(frozen=True)
class Verdict:
    """What the check says. `mark` is ✓ right, ✗ wrong, ○ not attempted; `points` is the share of the points."""

    mark: str
    title: str
    says: str
    code: str
    points: float

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


def check(exercise: Exercise, answer: object) -> Verdict:
    """Return the verdict on a learner's function. It never raises for what the learner wrote.

    It helps and does not police: `os._exit`, a loop inside C or patched builtins are a grader's business.

    Raises:
        KeyboardInterrupt: the reader interrupts.
    """
    judgement = judgement_here(exercise, answer, secrets.randbits(32))
    mark = {RIGHT: "✓", NOT_ATTEMPTED: "○"}.get(judgement.code, "✗")
    return Verdict(mark, exercise.title, judgement.says, judgement.code, judgement.points)


def judgement_here(exercise: Exercise, answer: object, seed: int) -> Judgement:
    """Return the judgement on an answer that is run in this process, on the cases of a seed."""
    cases = exercise.cases(seed)
    with settings_kept(), exit_raises(), prints_bounded(), limit(SECONDS) as watch:
        seen = observed(exercise.observe, answer, [case.given for case in cases])
    if watch.interrupted:
        raise KeyboardInterrupt
    return judge(exercise, cases, seen)
