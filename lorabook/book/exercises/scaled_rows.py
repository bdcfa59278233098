"""Exercise: a trained DoRA for a server that knows plain LoRA: its factors m/‖V‖ go into the rows of W₀ and of B."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.compare import close, sizes
from lorabook.book.classroom.exercise import Exercise, Mistake, Sign, Unfit
from lorabook.book.classroom.observe import Values
from lorabook.book.classroom.plain import Array, Matrix, draw, plus, scaled, shape_of, times, turned
from lorabook.book.classroom.seen import Seen
from lorabook.book.exercises.row_norm import row_norms

Vector = list[float]


@dataclass(frozen=True)
class Trained:
    """The pretrained matrix, and what DoRA has trained."""

    w0: Matrix
    A: Matrix
    B: Matrix
    m: Vector
    s: float

    @property
    def given(self) -> dict[str, object]:
        arrays = {"W0": self.w0, "A": self.A, "B": self.B, "m": self.m}
        return {**{name: Array(value) for name, value in arrays.items()}, "s": self.s}


def draw_cases(stream: random.Random) -> list[Trained]:
    """Return a square matrix, then a tall and a wide one."""
    shapes = ((5, 5, 2, 1.7), (stream.randint(7, 9), 4, 2, 2.5), (4, stream.randint(6, 9), 3, 0.4))
    return [_case(*shape, stream) for shape in shapes]


def _case(d_out: int, d_in: int, r: int, s: float, stream: random.Random) -> Trained:
    (m,) = draw(1, d_out, stream)
    factors = draw(r, d_in, stream), draw(d_out, r, stream)
    return Trained(draw(d_out, d_in, stream), *factors, [abs(length) + 0.5 for length in m], s)


def by_rows(factors: Vector, matrix: Matrix) -> Matrix | None:
    """Return the matrix with row i multiplied by factor i."""
    if len(factors) != len(matrix):
        return None
    return [[factor * x for x in row] for factor, row in zip(factors, matrix, strict=True)]


def _v(c: Trained) -> Matrix:
    return plus(c.w0, scaled(c.s, times(c.B, c.A)))


def _alone(factors: Vector, matrix: Matrix) -> Matrix:
    return matrix


def answer(
    c: Trained,
    lengths: Callable[[Trained], Vector] = lambda c: row_norms(_v(c)),
    factor: Callable[[float, float], float] = lambda m, length: m / length,
    base: Callable[[Vector, Matrix], Matrix | None] = by_rows,
    branch: Callable[[Vector, Matrix], Matrix | None] = by_rows,
) -> Matrix | None:
    """Return the rows of diag(m/‖V‖)·W₀, then those of s·diag(m/‖V‖)·BA."""
    norms = lengths(c)
    if len(norms) != len(c.m):
        return None
    factors = [factor(*both) for both in zip(c.m, norms, strict=True)]
    return [*base(factors, c.w0), *branch(factors, scaled(c.s, times(c.B, c.A)))]


BASE = "You scale the rows of W₀ and leave B as it is. m/‖V‖ stands before the whole sum V: before s·BA too."
BRANCH = "You scale the rows of B and leave W₀ as it is. m/‖V‖ stands before the whole sum V: before W₀ too."
STALE = "You divide by ‖W₀‖. The norm is that of V = W₀ + s·BA, as it is after training."
UNNORMED = "You multiply by m without dividing by ‖V‖."
REVERSED = "You multiply by ‖V‖/m. Row i of W is m_i long: multiply V by m/‖V‖."
COLUMNS = "You take norms of columns. m has a number for each row of W₀, which is an output."
NO_SCALE = "You leave s out of V. The norm is that of W₀ + s·BA."

MISTAKES = (
    Mistake("base-only", BASE, {"branch": _alone}),
    Mistake("branch-only", BRANCH, {"base": _alone}),
    Mistake("stale", STALE, {"lengths": lambda c: row_norms(c.w0)}),
    Mistake("unnormed", UNNORMED, {"factor": lambda m, length: m}),
    Mistake("reversed", REVERSED, {"factor": lambda m, length: length / m}),
    Mistake("columns", COLUMNS, {"lengths": lambda c: row_norms(turned(_v(c)))}),
    Mistake("no-scale", NO_SCALE, {"lengths": lambda c: row_norms(plus(c.w0, times(c.B, c.A)))}),
)

MERGED = (
    "The sum is right, but the update has gone into W'. The server rounds W', and then the update as well: W' must be "
    "W₀ with its rows scaled, and B'A' the rest."
)


def served(c: Trained, seen: Seen) -> Matrix:
    """Return the rows of W' and of s·B'A' of an answer.

    Raises:
        Unfit: one of the three has another shape, or the update has gone into W'.
    """
    w, a, b = seen.parts
    d_out, d_in, r = len(c.w0), len(c.w0[0]), len(c.A)
    shapes, due = [shape_of(w), shape_of(a), shape_of(b)], [(d_out, d_in), (r, d_in), (d_out, r)]
    if shapes == [due[0], due[2], due[1]]:
        raise Unfit("swapped", "You return B' before A'. The order is W', A', B'.")
    if shapes != due:
        came, expected = (", ".join(map(sizes, each)) for each in (shapes, due))
        raise Unfit("shape", f"Your W', A' and B' are {came}; they should be {expected}.")
    update, right = scaled(c.s, times(b, a)), answer(c)
    if close(plus(w, update), plus(right[:d_out], right[d_out:])) and not close(w, right[:d_out]):
        raise Unfit("merged", MERGED)
    return [*w, *update]


def into_a(c: Trained, seen: Seen) -> bool:
    """Say whether A' is another matrix than A."""
    return not close(seen.parts[1], c.A)


INTO_A = "You change A. The factors stand at rows, and the rows of BA are those of B: A' = A."

EXERCISE = Exercise(
    title="For a server that knows plain LoRA",
    function="over_scaled_base",
    difficulty=2,
    minutes=10,
    prompt=(
        "A DoRA layer is trained: W = m ⊙ V/‖V‖ with V = W₀ + s·BA. A server computes W'x + s·B'(A'x), rounds W' to "
        "four bits, and keeps A' and B' as they are. BA has small entries which must not be rounded, so W' may be "
        "nothing but W₀ with its rows scaled. Write `over_scaled_base(W0, A, B, m, s)` that returns `W', A', B'` of "
        "the old shapes, A' = A, such that both layers are one. (A second customer then cannot share W'.)"
    ),
    hints=(
        "Write W as two terms. What stands before each of them?",
        "W = diag(m/‖V‖)·W₀ + s·diag(m/‖V‖)·BA. Which of the two factors of the second term has rows of d_out?",
        "f = m / V.norm(dim=1); W' = f[:, None] * W0, and B' = f[:, None] * B.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
    observe=Values(("W'", "A'", "B'")),
    measure=served,
    conditions=(Sign("into-a", INTO_A, into_a, points=0.5),),
)
