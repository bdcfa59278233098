"""Exercise: the two-path forward, y = W₀x + b + s·B(Ax), without building ΔW and without training W₀."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.compare import close
from lorabook.book.classroom.exercise import Exercise, Mistake, Sign
from lorabook.book.classroom.plain import Array, Matrix, cotangent, draw, plus, scaled, times, turned
from lorabook.book.classroom.seen import Seen
from lorabook.book.classroom.traced import forward_pass


@dataclass(frozen=True)
class Layer:
    """Inputs x (one row each), a layer, and its factors."""

    x: Matrix
    w0: Matrix
    bias: Matrix
    A: Matrix
    B: Matrix
    s: float

    @property
    def given(self) -> dict[str, object]:
        arrays = {"x": self.x, "w0": self.w0, "bias": self.bias[0], "A": self.A, "B": self.B}
        return {**{name: Array(value) for name, value in arrays.items()}, "s": self.s}


def draw_cases(stream: random.Random) -> list[Layer]:
    """Return a square case, where every product has a shape, then a tall and a wide layer."""
    shapes = ((3, 3, 3, 3, 1.7), (3, stream.randint(8, 11), 6, 2, 2.5), (4, 5, stream.randint(8, 13), 3, 0.4))
    return [_case(*shape, stream) for shape in shapes]


def _case(n: int, d_out: int, d_in: int, r: int, s: float, stream: random.Random) -> Layer:
    sizes = ((n, d_in), (d_out, d_in), (1, d_out), (r, d_in), (d_out, r))
    return Layer(*(draw(*size, stream) for size in sizes), s)


def _through(x: Matrix, first: Matrix, second: Matrix, columns: int) -> Matrix | None:
    """Return x·first·second if that has so many columns."""
    between = times(x, first)
    result = None if between is None else times(between, second)
    return None if result is None or len(result[0]) != columns else result


def _a_then_b(c: Layer) -> Matrix | None:
    return _through(c.x, turned(c.A), turned(c.B), len(c.w0))


def answer(
    c: Layer,
    w: float = 1.0,
    b: float = 1.0,
    frozen: Callable[[float], float] = lambda s: 1.0,
    branch: Callable[[float], float] = lambda s: s,
    path: Callable[[Layer], Matrix | None] = _a_then_b,
) -> Matrix | None:
    """Return xW₀ᵀ + b + s·(xAᵀ)Bᵀ: the equation for a batch, one input in each row."""
    update = path(c)
    if update is None:
        return None
    base = plus(scaled(w, times(c.x, turned(c.w0))), scaled(b, c.bias))
    return plus(scaled(frozen(c.s), base), scaled(branch(c.s), update))


NO_BASE = (
    "Your output is the branch s·B(Ax) alone: the frozen path W₀x + b is missing. At the start B = 0, and it would "
    "be 0."
)
NO_BIAS = "The bias is missing: add b once, in the frozen path."
BIAS_TWICE = "The bias is added twice. Only the frozen path has one; A and B have none."
NO_BRANCH = "Your output is the frozen path W₀x + b alone: add s·B(Ax)."
NO_SCALE = "The branch is not multiplied by s."
SCALE_TWICE = "The branch is multiplied by s twice: once is enough, on A, on B, or on the result."
SCALE_ON_BASE = (
    "The scale multiplies the frozen path too. At the start the layer must be the pretrained one, so s belongs to "
    "B(Ax) only."
)
CROSSED = "x meets B before A. A reduces x to r numbers, then B makes d_out of them: s·B(Ax)."
UNTURNED = (
    "A and B are not transposed: with one input in each row, Ax is `x @ A.T` (or `F.linear(x, A)`), and the same for B."
)
BUILT = (
    "B meets A before x does: that builds ΔW, or a row of it. Apply A to x first, then B: r numbers lie between, and "
    "no ΔW."
)
TRAINS_BASE = "W₀ or b gets a gradient: they would train. Both come asking for one; use `w0.detach()`, `bias.detach()`."
CUTS_INPUT = (
    "∂L/∂x lacks the share of the frozen path: the layers below would learn nothing "
    "through W₀. "
    "Freezing W₀ means detaching W₀, not its output."
)
FACTORS_STILL = "A or B gets no gradient, or a wrong one: nothing would train them. Detach neither of them."
MINUS = "The branch is subtracted. The update is added: W₀x + b + s·B(Ax)."

MISTAKES = (
    Mistake("no-base", NO_BASE, {"w": 0.0, "b": 0.0}),
    Mistake("no-bias", NO_BIAS, {"b": 0.0}),
    Mistake("bias-twice", BIAS_TWICE, {"b": 2.0}),
    Mistake("no-branch", NO_BRANCH, {"branch": lambda s: 0.0}),
    Mistake("no-scale", NO_SCALE, {"branch": lambda s: 1.0}),
    Mistake("scale-twice", SCALE_TWICE, {"branch": lambda s: s * s}),
    Mistake("scale-inverted", "The branch is divided by s. Multiply: s·B(Ax).", {"branch": lambda s: 1 / s}),
    Mistake("minus", MINUS, {"branch": lambda s: -s}),
    Mistake("scale-on-base", SCALE_ON_BASE, {"frozen": lambda s: s}),
    Mistake("crossed", CROSSED, {"path": lambda c: _through(c.x, turned(c.B), turned(c.A), len(c.w0))}),
    Mistake("unturned", UNTURNED, {"path": lambda c: _through(c.x, c.A, c.B, len(c.w0))}),
)


def builds_update(c: Layer, seen: Seen) -> bool:
    """Say whether A and B met in a product before x came in."""
    return any({"A", "B"} <= set(names) and "x" not in names for names in seen.met)


def trains_base(c: Layer, seen: Seen) -> bool:
    """Say whether W₀ or b got a gradient."""
    return seen.gradients["w0"] is not None or seen.gradients["bias"] is not None


def factors_still(c: Layer, seen: Seen) -> bool:
    """Say whether A or B got no gradient, or another one than s·Bᵀgᵀx and s·gᵀ(xAᵀ)."""
    g = cotangent(len(c.x), len(c.w0))
    due = {
        "A": scaled(c.s, times(times(turned(c.B), turned(g)), c.x)),
        "B": scaled(c.s, times(turned(g), times(c.x, turned(c.A)))),
    }
    return any(seen.gradients[name] is None or not close(seen.gradients[name], due[name]) for name in due)


def cuts_input(c: Layer, seen: Seen) -> bool:
    """Say whether x got another gradient than gW₀ + s·gBA."""
    g = cotangent(len(c.x), len(c.w0))
    due = plus(times(g, c.w0), scaled(c.s, times(times(g, c.B), c.A)))
    return seen.gradients["x"] is None or not close(seen.gradients["x"], due)


CONDITIONS = (
    Sign("built", BUILT, builds_update, points=0.5),
    Sign("trains-base", TRAINS_BASE, trains_base, points=0.5),
    Sign("factors-still", FACTORS_STILL, factors_still, points=0.5),
    Sign("cuts-input", CUTS_INPUT, cuts_input, points=0.5),
)

EXERCISE = Exercise(
    title="The two-path forward",
    function="forward",
    difficulty=3,
    minutes=10,
    prompt=(
        "Write `forward(x, w0, bias, A, B, s)`, which returns W₀x + b + s·B(Ax) for inputs x with one input in "
        "each row. Three conditions: build no ΔW, not even row by row; `w0` and `bias` come asking for a gradient, as "
        "in a freshly loaded model, and must get none; the gradient of x must be complete, because the layers below "
        "need it."
    ),
    hints=(
        "Start with the frozen path: `F.linear(x, w0, bias)`. Which of its inputs may not receive a gradient?",
        "Ax for a batch is `F.linear(x, A)`, n × r. B comes next, on that, not on A.",
        "`w0.detach()` is the same matrix without a gradient; the product with it still passes the gradient of x.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
    observe=forward_pass,
    conditions=CONDITIONS,
)
