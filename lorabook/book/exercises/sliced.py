"""Exercise: ΔW of one VeRA layer out of the pair that all layers share, ΔW = diag(b) B diag(d) A."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise, Mistake
from lorabook.book.classroom.plain import Array, Matrix, draw, times


@dataclass(frozen=True)
class Layer:
    """The pair, as large as the largest layer needs; this layer's vectors, and how many inputs it has."""

    A: Matrix
    B: Matrix
    b: list[float]
    d: list[float]
    d_in: int

    @property
    def given(self) -> dict[str, object]:
        arrays = {name: Array(value) for name, value in (("A", self.A), ("B", self.B), ("b", self.b), ("d", self.d))}
        return {**arrays, "d_in": self.d_in}


def draw_cases(stream: random.Random) -> list[Layer]:
    """Return a case where all sides are alike, so that every product has a shape; then sides of their own."""
    shapes = ((4, 4, 4, 4, 4), (7, 8, 3, 7, 8), (6, stream.randint(7, 9), 2, 4, 5), (stream.randint(8, 9), 6, 3, 5, 6))
    return [
        Layer(draw(r, widest, stream), draw(tallest, r, stream), draw(1, d_out, stream)[0], draw(1, r, stream)[0], d_in)
        for tallest, widest, r, d_out, d_in in shapes
    ]


Part = Callable[[Matrix, int], Matrix]


def _first_columns(a: Matrix, n: int) -> Matrix:
    return [row[:n] for row in a]


def _last_columns(a: Matrix, n: int) -> Matrix:
    return [row[-n:] for row in a]


def _first_rows(b: Matrix, n: int) -> Matrix:
    return b[:n]


def _last_rows(b: Matrix, n: int) -> Matrix:
    return b[-n:]


def by_rows(v: list[float], m: Matrix) -> Matrix | None:
    """Return diag(v)M."""
    return [[x * y for y in row] for x, row in zip(v, m, strict=True)] if len(v) == len(m) else None


def by_columns(v: list[float], m: Matrix) -> Matrix | None:
    """Return M diag(v)."""
    return [[x * y for x, y in zip(v, row, strict=True)] for row in m] if len(v) == len(m[0]) else None


Scale = Callable[[list[float], Matrix], Matrix | None]


def answer(
    c: Layer,
    a_part: Part = _first_columns,
    b_part: Part = _first_rows,
    inner: Scale = by_rows,
    outer: Scale = by_rows,
) -> Matrix | None:
    """Return diag(b) B diag(d) A with this layer's parts of A and B. Source: 2310.11454, equation 2."""
    scaled = inner(c.d, a_part(c.A, c.d_in))
    product = None if scaled is None else times(b_part(c.B, len(c.b)), scaled)
    return None if product is None else outer(c.b, product)


PULLED = (
    "That is the pull request: `d * A` and `b * …` scale columns. d belongs to A's rows, b to the rows of the product."
)
INNER = "d scales A's columns, which are inputs. It has r entries, one for each row of A: `d[:, None] * A`."
OUTER = "b scales the columns of the product, which are inputs. It has one entry for each output, a row: `b[:, None]`."
LAST_INPUTS = "You take the last d_in columns of A. A layer that is smaller than the largest takes the first ones."
LAST_OUTPUTS = "You take the last rows of B. A layer that is smaller than the largest takes the first ones."
NO_D = "d is missing: it scales the r rows of A, or the columns of B, which is the same."
NO_B = "b is missing: it scales the rows of the product."

MISTAKES = (
    Mistake("pulled", PULLED, {"inner": by_columns, "outer": by_columns}),
    Mistake("inner", INNER, {"inner": by_columns}),
    Mistake("outer", OUTER, {"outer": by_columns}),
    Mistake("last-inputs", LAST_INPUTS, {"a_part": _last_columns}),
    Mistake("last-outputs", LAST_OUTPUTS, {"b_part": _last_rows}),
    Mistake("no-d", NO_D, {"inner": lambda v, m: m}),
    Mistake("no-b", NO_B, {"outer": lambda v, m: m}),
)

EXERCISE = Exercise(
    title="A layer's part of the pair",
    function="vera_delta",
    difficulty=2,
    minutes=5,
    prompt=(
        "A pull request merges VeRA: `delta = b * (B @ (d * A))`. Its test has one layer, with as many inputs and "
        "outputs as r, and b and d full of ones. Write `vera_delta(A, B, b, d, d_in)`, which returns ΔW of one layer "
        "of any size. A is r × (most inputs of any layer) and B is (most outputs of any layer) × r. b has an entry "
        "for each output of this layer, d has r, and the layer has d_in inputs. It takes A's first columns and B's "
        "first rows."
    ),
    hints=(
        "ΔW = diag(b) B diag(d) A. Does diag(v)M scale M's rows, or its columns? What does `v * M` scale?",
        "This layer's parts are `A[:, :d_in]` and `B[: len(b)]`.",
        "`v[:, None] * M` is diag(v)M: one for d and A, one for b and the product.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
)
