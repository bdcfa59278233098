"""Exercise: project a new A away from the rows of all earlier adapters together."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise, Mistake
from lorabook.book.classroom.plain import Array, Matrix, draw, plus, scaled, times, turned

Vector = list[float]


@dataclass(frozen=True)
class Rows:
    """A new A, and the rows of all earlier A, one below the other: not normed, not orthogonal to each other."""

    A: Matrix
    earlier: Matrix

    @property
    def given(self) -> dict[str, object]:
        return {"A": Array(self.A), "earlier": Array(self.earlier)}


def draw_cases(stream: random.Random) -> list[Rows]:
    """Return one predecessor of rank 1, then several rows; in one case A has as many rows as the predecessors."""
    shapes = ((2, 1, 4), (2, 2, stream.randint(5, 6)), (3, 2, 6), (2, 3, stream.randint(6, 7)))
    return [Rows(draw(r, d_in, stream), draw(n, d_in, stream)) for r, n, d_in in shapes]


def dot(a: Vector, b: Vector) -> float:
    """Return aᵀb."""
    return sum(x * y for x, y in zip(a, b, strict=True))


def without(row: Vector, direction: Vector) -> Vector:
    """Return a row without its part along one direction of any length."""
    share = dot(row, direction) / dot(direction, direction)
    return [x - share * y for x, y in zip(row, direction, strict=True)]


def orthogonal(rows: Matrix) -> Matrix:
    """Return rows that span the same space and are orthogonal to each other: Gram and Schmidt."""
    found: Matrix = []
    for row in rows:
        for direction in found:
            row = without(row, direction)
        found.append(row)
    return found


def in_turn(a: Matrix, directions: Matrix) -> Matrix:
    """Return A without its parts along these directions, one after the other."""
    for direction in directions:
        a = [without(row, direction) for row in a]
    return a


def jointly(a: Matrix, earlier: Matrix) -> Matrix:
    """Return A without its part in the space of the rows."""
    return in_turn(a, orthogonal(earlier))


def _one_by_one(a: Matrix, earlier: Matrix) -> Matrix:
    result = a
    for direction in earlier:
        part = plus(a, scaled(-1, in_turn(a, [direction])))
        result = plus(result, scaled(-1, part))
    return result


def _not_normed(a: Matrix, earlier: Matrix) -> Matrix:
    return plus(a, scaled(-1, times(times(a, turned(earlier)), earlier)))


def answer(
    c: Rows,
    cut: Callable[[Matrix, Matrix], Matrix] = jointly,
    rows: Callable[[Matrix], Matrix] = lambda earlier: earlier,
    give: Callable[[Matrix, Matrix], Matrix] = lambda a, outside: outside,
) -> Matrix:
    """Return A(I − E⁺E), E the earlier rows."""
    return give(c.A, cut(c.A, rows(c.earlier)))


INSIDE = "You return the part that lies in the earlier rows. Asked is what is left of A without it."
ONE_BY_ONE = (
    "You project every earlier row out of the same A and subtract all parts. What two rows share is subtracted twice: "
    "that is right for orthogonal rows only. Make them orthonormal first (QR), or use a pseudo-inverse."
)
IN_TURN = (
    "You take out one row after the other. Taking out the second puts back some of the first, for the rows are not "
    "orthogonal. Make them orthonormal first (QR), or use a pseudo-inverse."
)
NOT_NORMED = "You use the earlier rows as if they were orthonormal: A − AEᵀE. They are neither normed nor orthogonal."
LAST = "Only the last earlier row is projected out. All of them must be, together."
FIRST = "Only the first earlier row is projected out. All of them must be, together."
MIRROR = "You subtract the part twice: A − 2P is a reflection. Once is enough."
ADDED = "You add the part in the earlier rows instead of subtracting it."
MISTAKES = (
    Mistake("one-by-one", ONE_BY_ONE, {"cut": _one_by_one}),
    Mistake("in-turn", IN_TURN, {"cut": in_turn}),
    Mistake("not-normed", NOT_NORMED, {"cut": _not_normed}),
    Mistake("last", LAST, {"rows": lambda earlier: earlier[-1:]}),
    Mistake("first", FIRST, {"rows": lambda earlier: earlier[:1]}),
    Mistake("inside", INSIDE, {"give": lambda a, outside: plus(a, scaled(-1, outside))}, points=0.5),
    Mistake("mirror", MIRROR, {"give": lambda a, outside: plus(scaled(2, outside), scaled(-1, a))}),
    Mistake("added", ADDED, {"give": lambda a, outside: plus(scaled(2, a), scaled(-1, outside))}),
)

EXERCISE = Exercise(
    title="Keep a new task apart",
    function="stay_outside",
    difficulty=3,
    minutes=10,
    prompt=(
        "Write `stay_outside(A, earlier)`: what is left of A (r × d_in) when everything that lies in the space of the "
        "rows of `earlier` (n × d_in) is taken out. The rows of `earlier` are those of several trained adapters, one "
        "below the other: they have any length, and are not orthogonal to each other. This is the line that O-LoRA's "
        "projection runs after every step."
    ),
    hints=(
        "For one unit row q the answer is `A - (A @ q)[:, None] * q`. What if there are two, at 45° to each other?",
        "`torch.linalg.qr(earlier.T).Q` has orthonormal columns that span the same space.",
        "With Q from there: `A - A @ Q @ Q.T`. Or `A - A @ torch.linalg.pinv(earlier) @ earlier`.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
)
