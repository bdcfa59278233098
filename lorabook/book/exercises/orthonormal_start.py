"""Exercise: OLoRA's start, B = Q[:, :r] and A = R[:r] of W₀ = QR, with W_res = W₀ − s·BA."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.compare import close, sizes
from lorabook.book.classroom.exercise import Exercise, Mistake, Sign, Unfit
from lorabook.book.classroom.known import falling, total, with_spectrum
from lorabook.book.classroom.observe import Values
from lorabook.book.classroom.plain import Array, Matrix, plus, scaled, shape_of, times, turned
from lorabook.book.classroom.seen import Seen


@dataclass(frozen=True)
class Layer:
    """A W₀, its terms σᵢuᵢvᵢᵀ, strongest first, and the adapter that it gets."""

    w0: Matrix
    terms: list[Matrix]
    r: int
    alpha: float

    @property
    def given(self) -> dict[str, object]:
        return {"w0": Array(self.w0), "r": self.r, "alpha": self.alpha}


def draw_cases(stream: random.Random) -> list[Layer]:
    """Return a tall, a wide and a square case; α/r is never 1."""
    shapes = ((6, stream.randint(4, 5), 2, 5.0), (4, stream.randint(5, 7), 2, 7.0), (5, 5, 2, 3.0))
    return [_case(d_out, d_in, r, alpha, stream) for d_out, d_in, r, alpha in shapes]


def _case(d_out: int, d_in: int, r: int, alpha: float, stream: random.Random) -> Layer:
    return Layer(*with_spectrum(d_out, d_in, falling(min(d_out, d_in), stream), stream), r, alpha)


def spanned(columns: Matrix) -> Matrix:
    """Return an orthonormal basis of the space of some columns, as columns (Gram, Schmidt)."""
    basis: Matrix = []
    for column in turned(columns):
        left = column
        for q in basis:
            along = sum(x * y for x, y in zip(q, left, strict=True))
            left = [x - along * y for x, y in zip(left, q, strict=True)]
        size = sum(x * x for x in left) ** 0.5
        basis.append([x / size for x in left])
    return turned(basis)


def onto(w0: Matrix, chosen: Callable[[list[float]], list[float]]) -> Matrix:
    """Return W₀ projected on the space of some of its columns."""
    q = spanned([chosen(row) for row in w0])
    return times(q, times(turned(q), w0))


def from_rows(c: Layer) -> Matrix:
    """Return W₀ projected on the space of its first r rows."""
    return turned(onto(turned(c.w0), lambda row: row[: c.r]))


def strongest(c: Layer) -> Matrix:
    """Return W₀'s best rank-r part."""
    return total(c.terms[: c.r])


def answer(
    c: Layer,
    taken: Callable[[Layer], Matrix] = lambda c: onto(c.w0, lambda row: row[: c.r]),
    over: Callable[[float], float] = lambda s: 1.0,
    left: Callable[[Matrix, Matrix, float], Matrix] = lambda w0, ba, s: plus(w0, scaled(-s, ba)),
) -> Matrix:
    """Return the rows of W_res and of BA. Source: Büyükakyüz 2024 (2406.01775), section 3; PEFT for the place of s."""
    s = c.alpha / c.r
    ba = scaled(over(s), taken(c))
    return [*left(c.w0, ba, s), *ba]


PULLED = "That is the pull request: it takes BA out of W₀, but the layer adds (α/r)·BA. With α ≠ r it starts elsewhere."
WHOLE = "You freeze W₀ itself. s·BA then comes on top of it."
TWICE = "You add s·BA to W₀ where it has to be taken out."
DIVIDED = "You divide BA by s, as PiSSA does. OLoRA leaves Q and R as they are, and takes s·BA out of W₀."
LAST = "You took the last columns of Q. OLoRA takes the first r."
ROWS = "You decomposed the transpose: B has to be r columns of Q in W₀ = QR, and W₀ is d_out × d_in already."
STRONGEST = "That is PiSSA's start: B holds W₀'s strongest directions. OLoRA's B is r columns of Q in W₀ = QR."
SWAPPED = "You return B before A. The order is W_res, A, B."
UNEVEN = "The product is right, but B's columns are not orthonormal: B is Q[:, :r] as it stands, and A is R[:r]."

MISTAKES = (
    Mistake("pulled", PULLED, {"left": lambda w0, ba, s: plus(w0, scaled(-1.0, ba))}),
    Mistake("whole", WHOLE, {"left": lambda w0, ba, s: w0}),
    Mistake("added", TWICE, {"left": lambda w0, ba, s: plus(w0, scaled(s, ba))}),
    Mistake("divided", DIVIDED, {"over": lambda s: 1 / s}, points=0.5),
    Mistake("last", LAST, {"taken": lambda c: plus(c.w0, scaled(-1.0, _but_last(c)))}),
    Mistake("rows", ROWS, {"taken": from_rows}),
    Mistake("strongest", STRONGEST, {"taken": strongest}),
    Mistake("pissa", STRONGEST, {"taken": strongest, "over": lambda s: 1 / s}),
)


def _but_last(c: Layer) -> Matrix:
    """Return W₀ projected on all columns of Q but the last r."""
    k = min(len(c.w0), len(c.w0[0])) - c.r
    return onto(c.w0, lambda row: row[:k])


def start(c: Layer, seen: Seen) -> Matrix:
    """Return the rows of W_res and of BA of an answer.

    Raises:
        Unfit: one of the three has another shape.
    """
    rest, a, b = seen.parts
    d_out, d_in = len(c.w0), len(c.w0[0])
    shapes, due = [shape_of(rest), shape_of(a), shape_of(b)], [(d_out, d_in), (c.r, d_in), (d_out, c.r)]
    if shapes == due:
        return [*rest, *times(b, a)]
    if shapes == [due[0], due[2], due[1]]:
        raise Unfit("swapped", SWAPPED)
    came, expected = (", ".join(map(sizes, each)) for each in (shapes, due))
    raise Unfit("shape", f"For r = {c.r} and a W₀ of {sizes(due[0])} your W_res, A and B are {came}; they should be "
                f"{expected}.")  # fmt: skip


def oblique(c: Layer, seen: Seen) -> bool:
    """Say whether B's columns are not orthonormal."""
    _, _, b = seen.parts
    return not close(times(turned(b), b), [[float(i == j) for j in range(c.r)] for i in range(c.r)], within=1e-3)


EXERCISE = Exercise(
    title="Repair OLoRA's start",
    function="olora_start",
    difficulty=1,
    minutes=5,
    prompt=(
        "A pull request says\n\n```python\nq, upper = torch.linalg.qr(w0)\nA, B = upper[:r], q[:, :r]\n"
        "return w0 - B @ A, A, B\n```\n\nThe layer computes frozen·x + (α/r)·B(Ax). With α = 2r the model is broken "
        "before its first step. And a QR of all of w0 is not needed: B follows from r of its columns, A from B. Write "
        "`olora_start(w0, r, alpha)` that returns `W_res, A, B`: d_out × d_in, r × d_in, d_out × r."
    ),
    hints=(
        "What does the layer compute at the start, and what must be frozen so that this is W₀?",
        "W_res = W₀ − (α/r)·BA. For the second wish: what does Q[:, :r] depend on, and what is QᵀW₀?",
        "B = torch.linalg.qr(w0[:, :r])[0], and A = BᵀW₀.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
    observe=Values(("W_res", "A", "B")),
    measure=start,
    conditions=(Sign("oblique", UNEVEN, oblique, points=0.5),),
)
