"""Exercise: merge GLoRA: W = W₀ + W₀ ⊙ A + B and b = b₀ + D ⊙ b₀ + E + W₀C, every term in the size that it has."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.compare import sizes
from lorabook.book.classroom.exercise import Exercise, Mistake, Unfit
from lorabook.book.classroom.observe import Values
from lorabook.book.classroom.plain import Array, Matrix, draw, entrywise, plus, shape_of, times, turned
from lorabook.book.classroom.seen import Seen

Vector = list[float]


@dataclass(frozen=True)
class Terms:
    """The frozen layer and its five terms; A and B are whole matrices, columns, or one number."""

    w0: Matrix
    b0: Vector
    A: Matrix
    B: Matrix
    C: Vector
    D: Vector
    E: Vector

    @property
    def given(self) -> dict[str, object]:
        return {name: Array(getattr(self, name)) for name in ("w0", "b0", "A", "B", "C", "D", "E")}


def draw_cases(stream: random.Random) -> list[Terms]:
    """Return a square layer with whole terms, a square one with a column for A, a tall and a wide one."""
    n = stream.randint(4, 5)
    shapes = ((n, n, (n, n), (n, n)), (n, n, (n, 1), (1, 1)), (6, 3, (1, 1), (6, 1)), (3, 6, (3, 6), (3, 1)))
    return [_case(d_out, d_in, draw(*a, stream), draw(*b, stream), stream) for d_out, d_in, a, b in shapes]


def _case(d_out: int, d_in: int, a: Matrix, b: Matrix, stream: random.Random) -> Terms:
    (b0,), (c,), (d,), (e,) = (draw(1, n, stream) for n in (d_out, d_in, d_out, d_out))
    return Terms(draw(d_out, d_in, stream), b0, a, b, c, d, e)


def whole(term: Matrix, like: Matrix) -> Matrix:
    """Return a column or a single number as the matrix that it stands for."""
    rows = term * len(like) if len(term) == 1 else term
    return [row * len(like[0]) if len(row) == 1 else row for row in rows]


def _entry_by_entry(c: Terms) -> Matrix:
    return entrywise(c.w0, whole(c.A, c.w0))


def _product(c: Terms) -> Matrix | None:
    product = times(c.w0, c.A)
    return None if product is None else whole(product, c.w0)


def _by_columns(c: Terms) -> Matrix | None:
    """Weigh column j with the j-th number of a column A: what a transposed A does."""
    if len(c.A[0]) > 1 or len(c.A) == 1:
        return _entry_by_entry(c)
    return entrywise(c.w0, turned(c.A) * len(c.w0)) if len(c.A) == len(c.w0[0]) else None


def _through(matrix: Matrix, x: Vector) -> Vector:
    return [sum(w * one for w, one in zip(row, x, strict=True)) for row in matrix]


def _weighed(c: Terms) -> Vector:
    return [d * b for d, b in zip(c.D, c.b0, strict=True)]


def answer(
    c: Terms,
    weigh: Callable[[Terms], Matrix | None] = _entry_by_entry,
    kept: float = 1.0,
    crossed: Callable[[Terms, Matrix], Matrix] = lambda c, w: c.w0,
    scaled: Callable[[Terms], Vector] = _weighed,
    old: float = 1.0,
) -> Matrix | None:
    """Return the rows of W, and b as the last. Source: 2306.07967, equation 10."""
    weighed = weigh(c)
    if weighed is None:
        return None
    w = plus(plus([[kept * x for x in row] for row in c.w0], weighed), whole(c.B, c.w0))
    parts = zip(c.b0, scaled(c), c.E, _through(crossed(c, w), c.C), strict=True)
    return [*w, [old * b + d + e + x for b, d, e, x in parts]]


PRODUCT = "You multiply W₀ and A as matrices, as the pull request does. A weighs W₀ entry by entry: W₀ ⊙ A."
COLUMNS = "A as a column has a number for each row of W₀, which is an output. You weigh W₀'s columns with it."
GONE = "W₀ itself is missing: A is the change of its weight, so W = W₀ + W₀ ⊙ A + B."
MERGED = "You send C through the merged W, as the pull request does. The bias has W₀C: C meets the frozen matrix."
ADDED = "You add D. It weighs b₀, number by number: D ⊙ b₀."
OLD = "b₀ itself is missing from the bias: D is the change of its weight."
ALL = "You weigh E and W₀C with D as well. D meets b₀ alone."

MISTAKES = (
    Mistake("product", PRODUCT, {"weigh": _product}),
    Mistake("columns", COLUMNS, {"weigh": _by_columns}),
    Mistake("no-w0", GONE, {"kept": 0.0}),
    Mistake("merged-w", MERGED, {"crossed": lambda c, w: w}),
    Mistake("added", ADDED, {"scaled": lambda c: c.D}),
    Mistake("no-b0", OLD, {"old": 0.0}),
    Mistake(
        "all", ALL,
        {"scaled": lambda c: [d * (b + e + x) for d, b, e, x in zip(c.D, c.b0, c.E, _through(c.w0, c.C), strict=True)]},
    ),
)  # fmt: skip


def merged(c: Terms, seen: Seen) -> Matrix:
    """Return the rows of W and, last, b.

    Raises:
        Unfit: one of them has another shape.
    """
    w, b = seen.parts
    shapes, due = (shape_of(w), shape_of(b)), ((len(c.w0), len(c.w0[0])), (len(c.b0),))
    if shapes != due:
        came, expected = (" and ".join(map(sizes, each)) for each in (shapes, due))
        raise Unfit("shape", f"Your W and b are {came}; they should be {expected}.")
    return [*w, b]


EXERCISE = Exercise(
    title="One weight, one bias",
    function="merged_glora",
    difficulty=1,
    minutes=5,
    prompt=(
        "A pull request merges GLoRA:\n\n```python\nW = w0 + w0 @ A + B\nb = b0 + D * b0 + E + W @ C\nreturn W, b\n"
        "```\n\nIts test has A = 0 and B = 0. Two things are wrong. Write `merged_glora(w0, b0, A, B, C, D, E)`, which "
        "returns the W and b that stand for the layer. w0 is d_out × d_in; A and B are d_out × d_in, d_out × 1 or "
        "1 × 1; C has d_in numbers, b0, D and E have d_out."
    ),
    hints=(
        "Take d_out = 3 and d_in = 6. Which of the two products has no shape?",
        "A weighs W₀ entry by entry, and a column or a number is broadcast. Which W does C meet, trained or frozen?",
        "w0 * A, and w0 @ C.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
    observe=Values(("W", "b")),
    measure=merged,
)
