"""Exercise: PiSSA's start, W_res + s·BA = W₀ with s·BA the best rank-r part of W₀ and √σ in each factor."""

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
    """A W₀, its terms σᵢuᵢvᵢᵀ with their σᵢ, and the adapter that it gets."""

    w0: Matrix
    terms: list[Matrix]
    sigma: tuple[float, ...]
    r: int
    alpha: float

    @property
    def given(self) -> dict[str, object]:
        return {"w0": Array(self.w0), "r": self.r, "alpha": self.alpha}


def draw_cases(stream: random.Random) -> list[Layer]:
    """Return a tall, a wide and a square case; α/r is never 1, and some directions always stay."""
    shapes = ((6, stream.randint(4, 5), 2, 5.0), (4, stream.randint(5, 7), 3, 7.0), (5, 5, 2, 3.0))
    return [_case(d_out, d_in, r, alpha, stream) for d_out, d_in, r, alpha in shapes]


def _case(d_out: int, d_in: int, r: int, alpha: float, stream: random.Random) -> Layer:
    sigma = falling(min(d_out, d_in), stream)
    return Layer(*with_spectrum(d_out, d_in, sigma, stream), sigma, r, alpha)


def answer(
    c: Layer,
    in_ba: Callable[[float], float] = lambda sigma: sigma,
    over: Callable[[float], float] = lambda s: 1 / s,
    kept: Callable[[Layer], slice] = lambda c: slice(0, c.r),
    left: Callable[[Matrix, Matrix, float], Matrix] = lambda w0, ba, s: plus(w0, scaled(-s, ba)),
) -> Matrix:
    """Return the rows of W_res and of s·BA. Source: Meng, Wang, Zhang 2024 (2404.02948), equations 2 to 4."""
    s = c.alpha / c.r
    pairs = zip(c.sigma[kept(c)], c.terms[kept(c)], strict=True)
    ba = scaled(over(s), total([scaled(in_ba(sigma) / sigma, term) for sigma, term in pairs]))
    return [*left(c.w0, ba, s), *scaled(s, ba)]


def whole(w0: Matrix, ba: Matrix, s: float) -> Matrix:
    """Leave W₀ as it was."""
    return w0


def without_s(w0: Matrix, ba: Matrix, s: float) -> Matrix:
    """Take BA out, and not s·BA."""
    return plus(w0, scaled(-1.0, ba))


PULLED = "That is the pull request: W₀ stays whole while s·BA comes on top, and BA takes no account of s = α/r."
WHOLE = "You freeze W₀ itself. BA then comes on top of it, and the first loss is that of another model."
UNSCALED = "BA is the best rank-r part, but the layer adds (α/r)·BA. Divide σ by α/r, so that each factor has √(σ/s)."
NO_S = "You freeze W₀ − BA. The layer adds (α/r)·BA, so W₀ − (α/r)·BA is what must be left."
AT_ALPHA_R = "Right at α = r only: neither the factors nor what is left take account of s = α/r."
ADDED = "You add s·BA to W₀. It has to be taken out: W₀ − s·BA."
ROOT_ONCE = "√σ stands in one of A and B only. It belongs in both."
BOTH = "σ stands in A and in B, so BA holds σ². It is √σ in each."
OUTSIDE_ROOT = "Each of your factors has √σ/s, so BA is divided by s². Under the root, √(σ/s), it is divided once."
NO_SIGMA = "You left σ out of both factors."
WEAKEST = "You took the last r directions; PiSSA trains the strongest, and torch sorts σ from large to small."
SWAPPED = "You return B before A. The order is W_res, A, B."
UNEVEN = "The product is right, but σ is not shared evenly: PiSSA puts √(σ/s) into each, so that BᵀB = AAᵀ."

MISTAKES = (
    Mistake("pulled", PULLED, {"over": lambda s: 1.0, "left": whole}),
    Mistake("whole", WHOLE, {"left": whole}, points=0.5),
    Mistake("at-alpha-r", AT_ALPHA_R, {"over": lambda s: 1.0, "left": without_s}),
    Mistake("unscaled", UNSCALED, {"over": lambda s: 1.0}, points=0.5),
    Mistake("no-s", NO_S, {"left": without_s}),
    Mistake("added", ADDED, {"left": lambda w0, ba, s: plus(w0, scaled(s, ba))}),
    Mistake("root-once", ROOT_ONCE, {"in_ba": lambda sigma: sigma**0.5}),
    Mistake("both", BOTH, {"in_ba": lambda sigma: sigma**2}),
    Mistake("outside-root", OUTSIDE_ROOT, {"over": lambda s: 1 / s**2}),
    Mistake("no-sigma", NO_SIGMA, {"in_ba": lambda sigma: 1.0}),
    Mistake("weakest", WEAKEST, {"kept": lambda c: slice(-c.r, None)}),
)


def start(c: Layer, seen: Seen) -> Matrix:
    """Return the rows of W_res and of s·BA of an answer.

    Raises:
        Unfit: one of the three has another shape.
    """
    rest, a, b = seen.parts
    d_out, d_in = len(c.w0), len(c.w0[0])
    shapes, due = [shape_of(rest), shape_of(a), shape_of(b)], [(d_out, d_in), (c.r, d_in), (d_out, c.r)]
    if shapes == due:
        return [*rest, *scaled(c.alpha / c.r, times(b, a))]
    if shapes == [due[0], due[2], due[1]]:
        raise Unfit("swapped", SWAPPED)
    came, expected = (", ".join(map(sizes, each)) for each in (shapes, due))
    raise Unfit("shape", f"For r = {c.r} and a W₀ of {sizes(due[0])} your W_res, A and B are {came}; they should be "
                f"{expected}.")  # fmt: skip


def uneven(c: Layer, seen: Seen) -> bool:
    """Say whether BᵀB and AAᵀ differ."""
    _, a, b = seen.parts
    return not close(times(turned(b), b), times(a, turned(a)), within=1e-3)


EXERCISE = Exercise(
    title="Repair PiSSA's start",
    function="pissa_start",
    difficulty=1,
    minutes=5,
    prompt=(
        "A pull request says\n\n```python\nu, sigma, vt = torch.linalg.svd(w0, full_matrices=False)\n"
        "root = sigma[:r].sqrt()\nreturn w0, root[:, None] * vt[:r], u[:, :r] * root\n```\n\nThe layer computes "
        "frozen·x + (α/r)·B(Ax), and the first loss is far above the base's. There is a second fault, which no test "
        "with α = r can see. Write `pissa_start(w0, r, alpha)` that returns `W_res, A, B`: d_out × d_in, r × d_in, "
        "d_out × r."
    ),
    hints=(
        "What does the layer compute at the start, and what should it?",
        "W_res + s·BA = W₀ with s = α/r. So what must be frozen, and what must BA be if s·BA is W₀'s best rank-r part?",
        "root = √(σ/s), with A = root·Vᵀ and B = U·root as before; W_res = W₀ − s·BA.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
    observe=Values(("W_res", "A", "B")),
    measure=start,
    conditions=(Sign("uneven", UNEVEN, uneven, points=0.5),),
)
