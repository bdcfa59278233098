"""Exercise: a trained PΛQ with masked triplets as the smallest LoRA that adds the same ΔW, with the α to write down."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.compare import sizes
from lorabook.book.classroom.exercise import Exercise, Mistake, Sign, Unfit
from lorabook.book.classroom.observe import Values
from lorabook.book.classroom.plain import Array, Matrix, draw, scaled, shape_of, times
from lorabook.book.classroom.seen import Seen


@dataclass(frozen=True)
class Trained:
    """A layer at the end of a run: P: d_out × r, λ with zeros where it is masked, Q: r × d_in, and its α."""

    P: Matrix
    lam: tuple[float, ...]
    Q: Matrix
    alpha: float

    @property
    def k(self) -> int:
        return sum(value != 0 for value in self.lam)

    @property
    def given(self) -> dict[str, object]:
        return {"P": Array(self.P), "lam": Array(list(self.lam)), "Q": Array(self.Q), "alpha": self.alpha}


def draw_cases(stream: random.Random) -> list[Trained]:
    """Return three layers, with λ of both signs and some masked; α is neither r nor the rank that is left."""
    shapes = ((4, 5, 4, (1, -1, 0, 0), 7.0), (stream.randint(5, 7), 4, 5, (0, -1, 1, 0, 1), 8.0),
              (5, stream.randint(6, 8), 6, (0, 1, 0, -1, 0, -1), 5.0))  # fmt: skip
    return [
        Trained(draw(d_out, r, stream), _lambdas(signs, stream), draw(r, d_in, stream), alpha)
        for d_out, d_in, r, signs, alpha in shapes
    ]


def _lambdas(signs: tuple[int, ...], stream: random.Random) -> tuple[float, ...]:
    order = stream.sample(signs, len(signs))
    return tuple(sign * stream.randint(20, 95) / 100 for sign in order)


def answer(
    c: Trained,
    weight: Callable[[float], float] = lambda value: value,
    kept: Callable[[float], bool] = lambda value: value != 0,
    scale: Callable[[float, int, int], float] = lambda alpha, r, k: alpha / r,
) -> Matrix:
    """Return s·PΛQ with s = α/r and the r that it was trained with. Source: 2303.10512, equation 3; PEFT for s."""
    weights = [weight(value) if kept(value) else 0.0 for value in c.lam]
    s = scale(c.alpha, len(c.lam), sum(map(kept, c.lam)))
    return scaled(s, times([[x * w for x, w in zip(row, weights, strict=True)] for row in c.P], c.Q))


FOLLOWS = (
    "Your α is the pull request's: divided by the rank that is left, it makes ΔW r/k times too large. s was α/r with "
    "the starting r through the whole run, and must stay so: return α·k/r."
)
INVERSE = "You return α·r/k. The reader divides by k, so that it takes α·k/r to get α/r."
NO_LAMBDA = "λ is in neither factor. Put it into one of them, or its root into both."
SIGN = "You lose the sign of λ: that of a triplet is in λ, P and Q together. |λ| is no substitute."
SQUARED = "λ is in both factors. Put it into one of them."
POSITIVE = "You keep the triplets with λ > 0. A negative λ is as much alive: keep λ ≠ 0."
UNSCALED = "You return the rank as α: ΔW = BA then has no s. It was trained with s = α/r."
CARRIED = (
    "The ΔW is right, but masked triplets are still in it: rows of A that meet a zero. Keep those with λ ≠ 0, k rows "
    "of A and k columns of B."
)
TURNED = "Your A and B are exchanged. The order is A, B, alpha: A is k × d_in, B is d_out × k."

MISTAKES = (
    Mistake("follows", FOLLOWS, {"scale": lambda alpha, r, k: alpha / k}),
    Mistake("inverse", INVERSE, {"scale": lambda alpha, r, k: alpha * r / k**2}),
    Mistake("no-lambda", NO_LAMBDA, {"weight": lambda value: 1.0}),
    Mistake("sign", SIGN, {"weight": abs}),
    Mistake("squared", SQUARED, {"weight": lambda value: value * value}),
    Mistake("positive", POSITIVE, {"kept": lambda value: value > 0}),
    Mistake("unscaled", UNSCALED, {"scale": lambda alpha, r, k: 1.0}),
)


def added(c: Trained, seen: Seen) -> Matrix:
    """Return what a reader of the answer adds to W₀: (α/rows of A)·BA.

    Raises:
        Unfit: the factors have no product of ΔW's shape, or α is no number.
    """
    a, b, alpha = seen.parts
    d_out, d_in = len(c.P), len(c.Q[0])
    found = shape_of(a), shape_of(b)
    if [len(shape) for shape in found] == [2, 2] and shape_of(alpha) in ((), (1,)):
        (rows, wide), (tall, columns) = found
        if (wide, tall) == (d_in, d_out) and rows == columns:
            value = alpha[0] if isinstance(alpha, list) else alpha
            return scaled(value / rows, times(b, a))
        if (rows, columns) == (d_out, d_in) and wide == tall:
            raise Unfit("turned", TURNED)
    came = ", ".join(map(sizes, (*found, shape_of(alpha))))
    raise Unfit("shape", f"Your A, B and alpha are {came}; with {c.k} triplets left of a ΔW of {sizes((d_out, d_in))} "
                f"they should be {c.k} × {d_in}, {d_out} × {c.k} and a number.")  # fmt: skip


def carried(c: Trained, seen: Seen) -> bool:
    """Say whether the answer has more rows than triplets live."""
    return len(seen.parts[0]) > c.k


EXERCISE = Exercise(
    title="A smaller file for the server",
    function="smallest_lora",
    difficulty=2,
    minutes=10,
    prompt=(
        "Your server reads plain LoRA: A: k × d_in, B: d_out × k and α, of which it makes ΔW = (α/k)·BA, with a k for "
        "each layer. Your layer has P: d_out × r, Q: r × d_in, and r numbers `lam`, zero where a triplet is masked; it "
        "was trained with ΔW = (α/r)·PΛQ. A pull request exports it:\n\n```python\nkeep = lam > 0\n"
        "root = lam[keep].sqrt()\nreturn root[:, None] * Q[keep], P[:, keep] * root, alpha\n```\n\nTwo things are "
        "wrong. Write `smallest_lora(P, lam, Q, alpha)`, which returns `A, B, alpha`: no masked triplet, the same ΔW."
    ),
    hints=(
        "Can λ be negative? And what does the server divide your α by?",
        "Keep λ ≠ 0 and put λ, sign and all, into B or A alone. The server's α/k must be the α/r of the training.",
        "keep = lam != 0; A = Q[keep]; B = P[:, keep] * lam[keep]; α·keep.sum()/len(lam).",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
    observe=Values(("A", "B", "alpha")),
    measure=added,
    conditions=(Sign("carried", CARRIED, carried, points=0.5),),
)
