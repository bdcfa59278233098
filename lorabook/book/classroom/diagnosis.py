"""Which mistake was made: compare what an answer gives with what each known mistake would have given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lorabook.book.classroom.plain import Value, close, from_tensor
from lorabook.book.classroom.running import Failed


@dataclass(frozen=True)
class Mistake:
    """A way to be wrong: what to say, and what it computes on a case (None where its shapes do not fit)."""

    says: str
    formula: Callable[[Any], Value | None]


def diagnose(
    cases: Sequence[Any], results: Sequence[object], right: Callable[[Any], Value], mistakes: Sequence[Mistake]
) -> str | None:
    """Return None if every result is right, and else what to tell the learner.

    A mistake is recognised when it explains every case: the numbers where its formula has some, a failure where its
    shapes do not fit. So a case that is square in all dimensions tells swapped factors from a slip of the pen.
    """
    values = [None if isinstance(result, Failed) else from_tensor(result) for result in results]
    if all(value is not None and close(value, right(case)) for case, value in zip(cases, values, strict=True)):
        return None
    for mistake in mistakes:
        if all(_explains(mistake, *both) for both in zip(cases, results, values, strict=True)):
            return mistake.says
    for result, value, case in zip(results, values, cases, strict=True):
        if (fault := _unexplained(result, value, right(case))) is not None:
            return fault
    return None


def _explains(mistake: Mistake, case: Any, result: object, value: Value | None) -> bool:
    expected = mistake.formula(case)
    if expected is None:
        return isinstance(result, Failed)
    return value is not None and close(value, expected)


def _unexplained(result: object, value: Value | None, expected: Value) -> str | None:
    """Say what can be said of a result that no known mistake explains; None if this one is right."""
    if isinstance(result, Failed):
        return result.says
    if value is None:
        return f"Your function returns a {type(result).__name__}; return {_shape(expected)}. Is a `return` missing?"
    if close(value, expected):
        return None
    if _shape(value) != _shape(expected):
        return f"Your function returns {_shape(value)}; it should be {_shape(expected)}."
    first, other = _first(value), _first(expected)
    return f"The shape is right and the numbers are not: the first is {first:.4g}, it should be {other:.4g}."


def _shape(value: Value) -> str:
    sizes = []
    while type(value) is list:
        sizes.append(str(len(value)))
        value = value[0] if value else 0.0
    return f"a tensor of shape {' × '.join(sizes)}" if sizes else "a number"


def _first(value: Value) -> float:
    while type(value) is list:
        value = value[0]
    return value
