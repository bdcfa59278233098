"""Two values beside each other: whether they agree as far as float32 can tell, and where they first do not."""

import math
from collections.abc import Mapping

from lorabook.book.classroom.plain import Array, Value, entries, shape_of, turned

CLOSE = 1e-5
"""Of the largest entry that is due. float32 keeps seven digits, and a few products lose one or two of them."""

SHOWN = 6


def close(value: Value, due: Value, within: float = CLOSE) -> bool:
    """Say whether two values have one shape and the same numbers; a single entry in brackets is a number too."""
    if shape_of(value) != shape_of(due) and not len(entries(value)) == len(entries(due)) == 1:
        return False
    size = max((abs(x) for x in entries(due)), default=0.0) or 1.0
    return all(abs(x - y) <= within * size for x, y in zip(entries(value), entries(due), strict=True))


def sizes(shape: tuple[int, ...]) -> str:
    """Return a shape as words: a number, 5 numbers, 2 × 3."""
    if not shape:
        return "a number"
    return f"{shape[0]} numbers" if len(shape) == 1 else " × ".join(map(str, shape))


def brief(given: Mapping[str, object]) -> str:
    """Return the inputs of a case as a reader would write them; of large ones, the shape."""
    return ", ".join(f"{name} = {_brief(value)}" for name, value in given.items())


def _brief(value: object) -> str:
    if not isinstance(value, Array):
        return str(value)
    if len(entries(value.values)) > SHOWN:
        return f"({sizes(shape_of(value.values))})"
    return str(value.values)


def pair(value: float, due: float) -> tuple[str, str]:
    """Return two different numbers with as many digits as it takes to tell them apart."""
    for digits in range(4, 17):
        one, other = f"{value:.{digits}g}", f"{due:.{digits}g}"
        if one != other:
            break
    return one, other


def difference(value: Value, due: Value) -> str:
    """Say what came and what was due, at the first entry where they differ."""
    if shape_of(due) == ():
        return "{} came, and {} is due".format(*pair(entries(value)[0], entries(due)[0]))
    size = max(abs(x) for x in entries(due)) or 1.0
    wrong = [i for i, (x, y) in enumerate(zip(entries(value), entries(due), strict=True)) if abs(x - y) > CLOSE * size]
    came, expected = pair(entries(value)[wrong[0]], entries(due)[wrong[0]])
    shape = shape_of(due)
    place = [wrong[0]] if len(shape) == 1 else list(divmod(wrong[0], shape[-1]))
    count = f"{len(wrong)} of {len(entries(due))} entries differ; the first of them, {place}, "
    return f"{count}is {came} and should be {expected}"


def pattern(values: list[Value], due: list[Value]) -> str:
    """Say how all values differ from what is due, if there is one simple way; else nothing."""
    both = list(zip(values, due, strict=True))
    if all(len(shape_of(v)) == len(shape_of(d)) == 2 and close(turned(v), d) for v, d in both):
        return "What came is the transpose of what is due."
    if any(shape_of(v) != shape_of(d) for v, d in both):
        return ""
    came = [x for value in values for x in entries(value)]
    expected = [y for value in due for y in entries(value)]
    top = max(range(len(expected)), key=lambda i: abs(expected[i]))
    ratio = came[top] / expected[top] if expected[top] else 0.0
    if ratio and all(
        math.isclose(x, ratio * y, rel_tol=CLOSE, abs_tol=CLOSE) for x, y in zip(came, expected, strict=True)
    ):
        return f"Everything that came is {ratio:.4g} times what is due."
    gap = came[top] - expected[top]
    if all(math.isclose(x, y + gap, rel_tol=CLOSE, abs_tol=CLOSE) for x, y in zip(came, expected, strict=True)):
        return f"Everything that came is {abs(gap):.4g} {'above' if gap > 0 else 'below'} what is due."
    return ""
