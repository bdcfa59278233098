"""The points of an item inside a notebook: the number that nbgrader reads from a graded cell's output."""

import secrets

from lorabook.book.classroom.check import judgement_here
from lorabook.book.classroom.exercise import Exercise


def points(exercise: Exercise, answer: object, of: float) -> float:
    """Return the points that an answer gets, on inputs drawn for this call. It never raises for what a learner wrote.

    It runs in the learner's own process, so it holds for honest answers only; `lorabook classroom grade` trusts nobody.

    Raises:
        KeyboardInterrupt: the reader interrupts.
    """
    return round(of * judgement_here(exercise, answer, secrets.randbits(32)).points, 4)
