"""Which mistake was made: compare what was observed with what each known mistake would have given."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from lorabook.book.classroom.compare import CLOSE, brief, close, difference, pattern, sizes
from lorabook.book.classroom.exercise import Exercise, Mistake, Unfit
from lorabook.book.classroom.observe import FINAL
from lorabook.book.classroom.plain import Value, entries, shape_of
from lorabook.book.classroom.seen import Seen

RIGHT = "right"
NOT_ATTEMPTED = "not-attempted"
HALVES, HALF_CLOSE = frozenset({"float16", "bfloat16"}), 0.02
FITS_NOT = frozenset({"raised", "parts", "ragged"})
"""What a call does where the shapes of a mistake do not fit."""


@dataclass(frozen=True)
class Judgement:
    """What an answer is worth: a code (two joined by + for two mistakes), what to say, the share of the points."""

    code: str
    says: str
    points: float


NO_REPORT = Judgement("killed", "What your function gave could not be read.", 0.0)


def judge(exercise: Exercise, cases: Sequence[Any], seen: Sequence[Seen]) -> Judgement:
    """Return the judgement on what was observed of an answer, one observation for each case."""
    final = [one for one in seen if one.fault in FINAL or (one.fault and len(seen) != len(cases))]
    if final:
        return Judgement(final[0].fault, final[0].says, 0.0)
    if len(seen) != len(cases):
        return NO_REPORT
    values = [_measured(exercise, *both) for both in zip(cases, seen, strict=True)]
    due = [exercise.answer(case) for case in cases]
    if all(_right(v, d) for v, d in zip(values, due, strict=True)):
        return _of_a_right_value(exercise, cases, seen)
    for mistakes in _known(exercise.mistakes):
        if _explains(exercise, mistakes, cases, values):
            return _of(mistakes)
    wrong = [i for i, (v, d) in enumerate(zip(values, due, strict=True)) if not _right(v, d)]
    if all(isinstance(values[i], list | float) for i in wrong):
        for sign in exercise.symptoms:
            if all(sign.shows(cases[i], seen[i]) for i in wrong):
                return Judgement(sign.code, sign.says, sign.points)
    halves = sorted({name for one in seen for name in one.dtypes} & HALVES)
    if halves and all(_right(v, d, HALF_CLOSE) for v, d in zip(values, due, strict=True)):
        says = f"The numbers are right as far as {halves[0]} can hold them: two or three digits. Return float32."
        return Judgement("dtype", says, 0.5)
    return _unknown(cases, values, due)


def _measured(exercise: Exercise, case: Any, seen: Seen) -> Value | Seen | Unfit:
    if seen.fault:
        return seen
    try:
        return exercise.measure(case, seen)
    except Unfit as problem:
        return problem


def _of_a_right_value(exercise: Exercise, cases: Sequence[Any], seen: Sequence[Seen]) -> Judgement:
    broken = [s for s in exercise.conditions if any(s.shows(*both) for both in zip(cases, seen, strict=True))]
    if broken:
        says = " ".join(sign.says for sign in broken)
        code = "+".join(sorted(sign.code for sign in broken))
        return Judgement(code, f"The numbers are right. But: {says}", min(sign.points for sign in broken))
    return Judgement(RIGHT, f"right, on {len(cases)} cases that were drawn for this check", 1.0)


def _known(mistakes: Sequence[Mistake]) -> Iterator[tuple[Mistake, ...]]:
    """Return every mistake, then every two that make different choices."""
    yield from ((one,) for one in mistakes)
    for one, other in combinations(mistakes, 2):
        if not one.choices.keys() & other.choices.keys():
            yield one, other


def _explains(exercise: Exercise, mistakes: Sequence[Mistake], cases: Sequence[Any], values: Sequence[object]) -> bool:
    """Say whether mistakes explain every case: the numbers where they give some, a failure where shapes do not fit.

    So a case that is square in all dimensions tells swapped factors from a slip of the pen.
    """
    choices = {name: choice for one in mistakes for name, choice in one.choices.items()}
    numbers = 0
    for case, value in zip(cases, values, strict=True):
        expected = exercise.answer(case, **choices)
        if expected is None:
            failed = isinstance(value, Unfit) or (isinstance(value, Seen) and value.fault in FITS_NOT)
            if not failed:
                return False
        elif not isinstance(value, list | float) or not close(value, expected):
            return False
        numbers += expected is not None
    return numbers > 0


def _of(mistakes: Sequence[Mistake]) -> Judgement:
    code = "+".join(sorted(one.code for one in mistakes))
    if len(mistakes) == 1:
        return Judgement(code, mistakes[0].says, mistakes[0].points)
    says = " ".join(f"({i}) {one.says}" for i, one in enumerate(mistakes, start=1))
    return Judgement(code, f"Two mistakes at once. {says}", min(one.points for one in mistakes))


def _unknown(cases: Sequence[Any], values: Sequence[object], due: Sequence[Value]) -> Judgement:
    """Say what can be said of an answer that no known mistake explains, on the smallest case that went wrong."""
    wrong = [i for i, (v, d) in enumerate(zip(values, due, strict=True)) if not _right(v, d)]
    first = min(wrong, key=lambda i: (not isinstance(values[i], Seen | Unfit), len(brief(cases[i].given))))
    value, expected, given = values[first], due[first], brief(cases[first].given)
    if isinstance(value, Seen):
        return Judgement(value.fault, value.says, 0.0)
    if isinstance(value, Unfit):
        return Judgement(value.code, value.says, 0.0)
    if shape_of(value) != shape_of(expected):
        same = len(entries(value)) == len(entries(expected)) and close(entries(value), entries(expected))
        only = " The numbers are the right ones." if same else ""
        says = f"For {given} your function returns {sizes(shape_of(value))}; it should be {sizes(shape_of(expected))}."
        return Judgement("shape", says + only, 0.0)
    known = pattern([v for v in values if isinstance(v, list | float)], list(due)) if len(wrong) == len(due) else ""
    share = f" {len(due) - len(wrong)} of {len(due)} cases are right." if len(wrong) < len(due) else ""
    says = f"Wrong, and no mistake that this exercise knows. For {given}: {difference(value, expected)}."
    return Judgement("unknown", f"{says}{share} {known}".strip(), 0.0)


def _right(value: object, due: Value, within: float = CLOSE) -> bool:
    return isinstance(value, list | float) and close(value, due, within)
