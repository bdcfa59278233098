"""The sides of a student's claim and of its misconception on one case, as plain numbers: what the child writes down."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from lorabook.book.assignments.library import Slip, broken
from lorabook.book.classroom.encode import Fault
from lorabook.book.classroom.limits import inside
from lorabook.book.classroom.observe import Given, numbers
from lorabook.book.classroom.plain import Value
from lorabook.book.classroom.seen import Seen
from lorabook.claims.case import Case
from lorabook.claims.claim import Claim

RELATIONS = ("=", "<=", "~")
NO_CLAIM = "`{}` is no claim: put `@claim(statement=…, source=…)` above its function."
HEAD = 4
"""How many numbers come before the sides: the relation's place, words of the reason, sides of each of the two."""


@dataclass(frozen=True)
class Sides:
    """Observe a claim and its misconception on a case, with the library as it is or with one of its slips."""

    name: str
    slips: tuple[Slip, ...]

    def __call__(self, function: Callable, given: Given) -> Seen:
        claim, false = inside(function)
        if not isinstance(claim, Claim):
            raise Fault("type", NO_CLAIM.format(self.name))
        case, version = Case(*given["case"]), given["version"]
        torch.manual_seed(given["draw"])
        with broken(self.slips[version - 1] if version else None):
            mine = _sides(claim, case, stops=not version)
            theirs = _sides(false, case, stops=False) if _is_of(false, claim) else ()
        words = len(set(claim.source.split()))
        head = [float(RELATIONS.index(claim.relation)), float(words), float(len(mine)), float(len(theirs))]
        return Seen((head, *mine, *theirs))


def _is_of(false: object, claim: Claim) -> bool:
    return isinstance(false, Claim) and false.misconception_of is claim


def _sides(claim: Claim, case: Case, stops: bool) -> tuple[Value, ...]:
    """Return what a claim gives, without sides where it fails; `stops` says that an error is the student's to read."""
    try:
        sides = inside(lambda: claim.sides(case))
        if not isinstance(sides, tuple | list) or not 2 <= len(sides) <= 3:
            raise Fault("parts", f"`{claim.name}` returns no two sides: end it with `return left, right`.")
        return tuple(numbers(side) for side in sides)
    except Exception:
        if stops:
            raise
        return ()
