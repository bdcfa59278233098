"""Exercise: DoRA's forward pass, y = (m/‖V‖) ⊙ Vx + b: one norm a row, held constant, and the bias left alone."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.compare import close
from lorabook.book.classroom.exercise import Exercise, Mistake, Sign
from lorabook.book.classroom.plain import Array, Matrix, cotangent, draw, plus, scaled, times, turned
from lorabook.book.classroom.seen import Seen
from lorabook.book.classroom.traced import forward_pass

Vector = list[float]


@dataclass(frozen=True)
class Layer:
    """Inputs x (one row each), the frozen layer, and what of DoRA is trained."""

    x: Matrix
    w0: Matrix
    b: Vector
    A: Matrix
    B: Matrix
    m: Vector
    s: float

    @property
    def given(self) -> dict[str, object]:
        arrays = {"x": self.x, "W0": self.w0, "b": self.b, "A": self.A, "B": self.B, "m": self.m}
        return {**{name: Array(value) for name, value in arrays.items()}, "s": self.s}


def draw_cases(stream: random.Random) -> list[Layer]:
    """Return a square layer, where both kinds of norm have a shape, then a tall and a wide one."""
    shapes = ((3, 5, 5, 2, 1.7), (4, stream.randint(7, 9), 4, 2, 2.5), (3, 4, stream.randint(6, 9), 3, 0.4))
    return [_case(*shape, stream) for shape in shapes]


def _case(n: int, d_out: int, d_in: int, r: int, s: float, stream: random.Random) -> Layer:
    (b,), (m,) = draw(1, d_out, stream), draw(1, d_out, stream)
    matrices = draw(n, d_in, stream), draw(d_out, d_in, stream)
    return Layer(*matrices, b, draw(r, d_in, stream), draw(d_out, r, stream), [abs(length) + 0.5 for length in m], s)


def row_norms(v: Matrix) -> Vector:
    """Return ‖V_i‖ of every row."""
    return [sum(x * x for x in row) ** 0.5 for row in v]


def _v(c: Layer) -> Matrix:
    return plus(c.w0, scaled(c.s, times(c.B, c.A)))


def answer(
    c: Layer,
    by: Callable[[float], float] = lambda s: s,
    norms: Callable[[Layer, Matrix], Vector] = lambda c, v: row_norms(v),
    bias: Callable[[Vector, Vector], Vector] = lambda b, factors: b,
) -> Matrix | None:
    """Return (m/‖V‖) ⊙ Vx + b for each x. Source: 2402.09353, equations 5 and 11."""
    v = plus(c.w0, scaled(by(c.s), times(c.B, c.A)))
    lengths = norms(c, v)
    if len(lengths) != len(c.m):
        return None
    factors = [m / length for m, length in zip(c.m, lengths, strict=True)]
    rows = [[factor * x for x in row] for factor, row in zip(factors, v, strict=True)]
    return plus(times(c.x, turned(rows)), [bias(c.b, factors)])


COLUMNS = (
    "You take the norm of each column. m has one number for each output, and an output is a row of torch's weight: "
    "`dim=1`. The paper says “column” of its W, which is the transpose."
)
BIAS = "You scale the bias with its row. DoRA is an equation of the weight: b is added after m/‖V‖, as it was before."
NO_BIAS = "The bias is missing. DoRA leaves it as it is: add b."
STALE = "You divide by ‖W₀‖. The rows of W then are as long as m only at the start: divide by ‖V‖, anew in every pass."
UNNORMED = "You multiply V by m without dividing by ‖V‖. At the start each row would be ‖W₀‖ times too long."
SQUARED = "You divide by ‖V‖². The norm is the root of the sum of the squares."
NO_SCALE = "BA is not multiplied by s."
SCALE_TWICE = "BA is multiplied by s twice: once is enough, on A, on B, or on the product."

MISTAKES = (
    Mistake("columns", COLUMNS, {"norms": lambda c, v: row_norms(turned(v))}),
    Mistake("bias", BIAS, {"bias": lambda b, factors: [f * x for f, x in zip(factors, b, strict=True)]}),
    Mistake("no-bias", NO_BIAS, {"bias": lambda b, factors: [0.0] * len(b)}),
    Mistake("stale", STALE, {"norms": lambda c, v: row_norms(c.w0)}),
    Mistake("unnormed", UNNORMED, {"norms": lambda c, v: [1.0] * len(v)}),
    Mistake("squared", SQUARED, {"norms": lambda c, v: [length * length for length in row_norms(v)]}),
    Mistake("no-scale", NO_SCALE, {"by": lambda s: 1.0}),
    Mistake("scale-twice", SCALE_TWICE, {"by": lambda s: s * s}),
)


def _due(c: Layer) -> tuple[Matrix, Vector]:
    """Return ∂L/∂B and ∂L/∂m, the norm held constant."""
    v, g = _v(c), turned(cotangent(len(c.x), len(c.w0)))
    lengths, to_w = row_norms(v), times(g, c.x)
    rows = [[m / length * x for x in row] for m, length, row in zip(c.m, lengths, to_w, strict=True)]
    to_m = [sum(map(float.__mul__, *both)) / length for *both, length in zip(to_w, v, lengths, strict=True)]
    return scaled(c.s, times(rows, turned(c.A))), to_m


def in_graph(c: Layer, seen: Seen) -> bool:
    """Say whether B got another gradient than with the norm held constant."""
    return seen.gradients["B"] is None or not close(seen.gradients["B"], _due(c)[0], within=1e-4)


def m_still(c: Layer, seen: Seen) -> bool:
    """Say whether m got no gradient, or a wrong one."""
    return seen.gradients["m"] is None or not close(seen.gradients["m"], _due(c)[1], within=1e-4)


IN_GRAPH = (
    "B's gradient is not the one of the paper's section 4.3: there the norm is a constant in the backward pass, so "
    "detach ‖V‖, and nothing else."
)
M_STILL = "m gets no gradient, or a wrong one. It trains: detach the norm, not m/‖V‖ as a whole."

EXERCISE = Exercise(
    title="A test that every DoRA passes",
    function="dora_layer",
    difficulty=2,
    minutes=5,
    prompt=(
        "A pull request writes DoRA's forward pass:\n\n```python\nV = W0 + s * B @ A\n"
        "return m / V.norm(dim=0) * (x @ V.T + b)\n```\n\nIts test takes a square W₀, sets B = 0 and "
        "m = W0.norm(dim=0), finds the base's outputs, and passes. Two things are wrong with the value, and the norm "
        "is not held constant in the backward pass. Write `dora_layer(x, W0, b, A, B, m, s)` for inputs x with one "
        "input in each row; W₀ is d_out × d_in, and b and m have d_out numbers. B and m must get DoRA's gradients."
    ),
    hints=(
        "What is m/‖V‖ at the start, whatever the axis? So what can a test at the start not see?",
        "One length for each output: which dimension of the d_out × d_in matrix is summed over? And is b part of W?",
        "`V.norm(dim=1).detach()`; the factor goes onto `x @ V.T`, and b is added last.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
    observe=forward_pass,
    conditions=(Sign("in-graph", IN_GRAPH, in_graph, points=0.5), Sign("m-still", M_STILL, m_still, points=0.5)),
)
