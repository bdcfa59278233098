"""Exercise: a matrix that is as far from low rank as a matrix can be."""

import random
from dataclasses import dataclass

from lorabook.book.classroom.compare import close, sizes
from lorabook.book.classroom.exercise import Exercise, Sign, Unfit
from lorabook.book.classroom.plain import Matrix, entries, scaled, shape_of, times, turned
from lorabook.book.classroom.seen import Seen


@dataclass(frozen=True)
class Size:
    """The number of rows and columns."""

    d: int

    @property
    def given(self) -> dict[str, object]:
        return {"d": self.d}


def draw_cases(stream: random.Random) -> list[Size]:
    """Return three sizes, one of them odd, so that a matrix which exists for some sizes only is found out."""
    return [Size(d) for d in (stream.choice((3, 5, 7)), stream.choice((4, 6)), stream.choice((8, 9, 10)))]


def answer(c: Size) -> Matrix:
    """Return the identity: all singular values of M are equal exactly when MMᵀ = c·I, c > 0."""
    return [[float(i == j) for j in range(c.d)] for i in range(c.d)]


def evenness(c: Size, seen: Seen) -> Matrix:
    """Return MMᵀ, scaled so that the mean of its diagonal is 1.

    Raises:
        Unfit: M is no d × d matrix, or zero.
    """
    (m,) = seen.parts
    if shape_of(m) != (c.d, c.d):
        raise Unfit("shape", f"For d = {c.d} your function returns {sizes(shape_of(m))}; return a d × d tensor.")
    energy = sum(x * x for x in entries(m))
    if energy == 0:
        raise Unfit("zero", ZERO)
    return scaled(c.d / energy, times(m, turned(m)))


ONE_DIRECTION = "Every row is a multiple of the same row: that is rank 1, the opposite of what is asked."
ZERO = "All entries are zero: then there is no energy to share out."
NEARLY = "Close, and not it: some directions are still stronger than others. Random is nearly even, never exactly."
UNEVEN = "The rows are at right angles, but not equally long, so some directions are stronger than others."


def one_direction(c: Size, seen: Seen) -> bool:
    """Say whether all rows are multiples of one row: every 2 × 2 minor of MMᵀ with two rows of its diagonal is 0."""
    gram = evenness(c, seen)
    return all(close(gram[i][j] ** 2, gram[i][i] * gram[j][j]) for i in range(c.d) for j in range(c.d))


def uneven(c: Size, seen: Seen) -> bool:
    """Say whether all rows are at right angles."""
    gram = evenness(c, seen)
    return all(abs(gram[i][j]) < 1e-5 for i in range(c.d) for j in range(c.d) if i != j)


SYMPTOMS = (
    Sign("one-direction", ONE_DIRECTION, one_direction),
    Sign("uneven", UNEVEN, uneven),
    Sign("nearly", NEARLY, lambda c, seen: True),
)

EXERCISE = Exercise(
    title="The worst case",
    function="worst",
    difficulty=2,
    minutes=5,
    prompt=(
        "Write `worst(d)`: a d × d matrix of which rank r keeps only the share r/d of the energy, for *every* r. Then "
        "you know what no adapter of low rank can follow."
    ),
    hints=(
        "What must be true of the singular values, if each direction you add brings equally much?",
        "All equal. Which matrices stretch every input by the same factor?",
        "Rotations, reflections, permutations: the orthogonal matrices, times any number. One is very short to write.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=(),
    measure=evenness,
    symptoms=SYMPTOMS,
)
