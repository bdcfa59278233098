"""Exercise: the two-path forward, y = W₀x + b + s·B(Ax), without building ΔW and without training W₀."""

import random
from dataclasses import dataclass

from torch import Tensor
from torch.autograd import backward
from torch.nn.functional import linear

from lorabook.book.classroom.diagnosis import Mistake, diagnose
from lorabook.book.classroom.exercise import Exercise, WrongAnswer
from lorabook.book.classroom.plain import Matrix, close, draw, from_tensor, plus, scaled, times, to_tensor, turned
from lorabook.book.classroom.running import Failed, run
from lorabook.book.classroom.watch import sizes_made

_backward = backward


@dataclass(frozen=True)
class World:
    """Inputs x (one row each), a layer, and its factors, as plain numbers; `g` is ∂L/∂y."""

    x: Matrix
    w0: Matrix
    bias: Matrix
    A: Matrix
    B: Matrix
    s: float
    g: Matrix

    def tensors(self) -> list[Tensor]:
        """Return x, W₀, b, A, B; all of them ask for a gradient, as parameters of a freshly loaded layer do."""
        plain = (self.x, self.w0, self.bias[0], self.A, self.B)
        return [to_tensor(value).requires_grad_(True) for value in plain]


def worlds() -> tuple[World, ...]:
    """Return a square case, where every product has a shape, then two where no other product is as large as ΔW."""
    stream = random.Random(21)
    shapes = ((3, 3, 3, 3, 1.7), (3, 11, 7, 2, 2.5), (4, 5, 13, 3, 0.4))
    return tuple(
        World(draw(n, d_in, stream), draw(d_out, d_in, stream), draw(1, d_out, stream), draw(r, d_in, stream),
              draw(d_out, r, stream), s, draw(n, d_out, stream))
        for n, d_out, d_in, r, s in shapes
    )  # fmt: skip


def _base(w: World) -> Matrix:
    return plus(times(w.x, turned(w.w0)), w.bias)


def _branch(w: World, s: float) -> Matrix:
    return scaled(s, times(times(w.x, turned(w.A)), turned(w.B)))


def right(w: World) -> Matrix:
    """Return xW₀ᵀ + b + s·(xAᵀ)Bᵀ: the equation for a batch, one input in each row."""
    return plus(_base(w), _branch(w, w.s))


def _no_bias(w: World) -> Matrix:
    return plus(times(w.x, turned(w.w0)), _branch(w, w.s))


def _crossed(w: World) -> Matrix | None:
    """Return the output of B and A the wrong way round: x meets Bᵀ first."""
    first = times(w.x, turned(w.B))
    second = None if first is None else times(first, turned(w.A))
    return None if second is None or len(second[0]) != len(w.bias[0]) else plus(_base(w), scaled(w.s, second))


def _unturned(w: World) -> Matrix | None:
    """Return the output of A and B used as x meets columns: xAB."""
    first = times(w.x, w.A)
    second = None if first is None else times(first, w.B)
    return None if second is None or len(second[0]) != len(w.bias[0]) else plus(_base(w), scaled(w.s, second))


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
    "The numbers are right, but you build a d_out × d_in matrix. Apply A to x first, then B: r numbers lie "
    "between, and no ΔW."
)
TRAINS_BASE = (
    "The numbers are right, but W₀ or b gets a gradient: they would train. Both come asking for one; use "
    "`w0.detach()`, `bias.detach()`."
)
CUTS_INPUT = (
    "The numbers are right, but ∂L/∂x lacks the share of the frozen path: the layers below would learn nothing "
    "through W₀. "
    "Freezing W₀ means detaching W₀, not its output."
)
FACTORS_STILL = (
    "The numbers are right, but A or B gets no gradient, or a wrong one: nothing would train them. Detach neither "
    "of them."
)

MISTAKES = (
    Mistake(NO_BASE, lambda w: _branch(w, w.s)),
    Mistake(NO_BIAS, _no_bias),
    Mistake(BIAS_TWICE, lambda w: plus(right(w), w.bias)),
    Mistake(NO_BRANCH, _base),
    Mistake(NO_SCALE, lambda w: plus(_base(w), _branch(w, 1.0))),
    Mistake(SCALE_TWICE, lambda w: plus(_base(w), _branch(w, w.s**2))),
    Mistake(SCALE_ON_BASE, lambda w: scaled(w.s, plus(_base(w), _branch(w, 1.0)))),
    Mistake(CROSSED, _crossed),
    Mistake(UNTURNED, _unturned),
)


def probe(answer: object) -> str | None:
    """Return what is wrong with an answer, or None: first its numbers, then what it builds, then where gradients go."""
    results, sizes, inputs = [], [], []
    for w in worlds():
        x, w0, bias, a, b = tensors = w.tensors()
        result, new_sizes = sizes_made(lambda at=(x, w0, bias, a, b, w.s): run(answer, *at), tensors)
        results.append(result)
        sizes.append(new_sizes)
        inputs.append(tensors)
    fault = diagnose(worlds(), results, right, MISTAKES)
    if fault is not None:
        return fault
    # The square case cannot tell ΔW from the output by its size.
    if any(len(w.w0) * len(w.w0[0]) in new for w, new in list(zip(worlds(), sizes, strict=True))[1:]):
        return BUILT
    faults = (_gradients(*each) for each in zip(worlds(), results, inputs, strict=True))
    return next((fault for fault in faults if fault is not None), None)


def _gradients(w: World, result: Tensor | Failed, inputs: list[Tensor]) -> str | None:
    if not result.requires_grad:
        return FACTORS_STILL
    _backward(result, to_tensor(w.g))
    x, w0, bias, a, b = (None if tensor.grad is None else from_tensor(tensor.grad) for tensor in inputs)
    if w0 is not None or bias is not None:
        return TRAINS_BASE
    gb = scaled(w.s, times(turned(w.g), times(w.x, turned(w.A))))
    ga = scaled(w.s, times(times(turned(w.B), turned(w.g)), w.x))
    if a is None or b is None or not (close(a, ga) and close(b, gb)):
        return FACTORS_STILL
    gx = plus(times(w.g, w.w0), scaled(w.s, times(times(w.g, w.B), w.A)))
    return None if x is not None and close(x, gx) else CUTS_INPUT


def _two(x: Tensor, w0: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, s: float) -> Tensor:
    frozen = linear(x, w0.detach(), None if bias is None else bias.detach())
    return frozen + s * linear(linear(x, a), b)


BANK = (
    WrongAnswer(lambda x, w0, bias, A, B, s: s * x @ A.T @ B.T, NO_BASE),
    WrongAnswer(lambda x, w0, bias, A, B, s: _two(x, w0, None, A, B, s), NO_BIAS),
    WrongAnswer(lambda x, w0, bias, A, B, s: _two(x, w0, bias, A, B, s) + bias, BIAS_TWICE),
    WrongAnswer(lambda x, w0, bias, A, B, s: linear(x, w0, bias), NO_BRANCH),
    WrongAnswer(lambda x, w0, bias, A, B, s: _two(x, w0, bias, A, B, 1.0), NO_SCALE),
    WrongAnswer(lambda x, w0, bias, A, B, s: _two(x, w0, bias, s * A, B, s), SCALE_TWICE),
    WrongAnswer(lambda x, w0, bias, A, B, s: s * _two(x, w0, bias, A, B, 1.0), SCALE_ON_BASE),
    WrongAnswer(lambda x, w0, bias, A, B, s: linear(x, w0, bias) + s * linear(linear(x, B), A), CROSSED),
    WrongAnswer(lambda x, w0, bias, A, B, s: linear(x, w0, bias) + s * x @ A @ B, UNTURNED),
    WrongAnswer(lambda x, w0, bias, A, B, s: linear(x, w0.detach() + s * B @ A, bias.detach()), BUILT),
    WrongAnswer(lambda x, w0, bias, A, B, s: linear(x, w0, bias) + s * linear(linear(x, A), B), TRAINS_BASE),
    WrongAnswer(lambda x, w0, bias, A, B, s: linear(x, w0, bias).detach() + s * linear(linear(x, A), B), CUTS_INPUT),
    WrongAnswer(lambda x, w0, bias, A, B, s: _two(x, w0, bias, A, B.detach(), s), FACTORS_STILL),
)

EXERCISE = Exercise(
    title="The two-path forward",
    function="forward",
    difficulty=3,
    minutes=15,
    prompt=(
        "Write `forward(x, w0, bias, A, B, s)`, which returns W₀x + b + s·B(Ax) for inputs x with one input in "
        "each row. "
        "Three conditions: build no d_out × d_in matrix; `w0` and `bias` come asking for a gradient, as in a "
        "freshly loaded "
        "model, and must get none; the gradient of x must be complete, because the layers below need it."
    ),
    hints=(
        "Start with the frozen path: `F.linear(x, w0, bias)`. Which of its inputs may not receive a gradient?",
        "Ax for a batch is `F.linear(x, A)`, n × r. B comes next, on that, not on A.",
        "`w0.detach()` is the same matrix without a gradient; the product with it still passes the gradient of x.",
    ),
    probe=probe,
    bank=BANK,
)
