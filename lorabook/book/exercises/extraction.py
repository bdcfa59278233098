"""Exercise: extract a LoRA from what full fine-tuning did: (α/r)·BA = the best rank-r part of ΔW."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.compare import sizes
from lorabook.book.classroom.exercise import Exercise, Mistake, Unfit
from lorabook.book.classroom.known import falling, total, with_spectrum
from lorabook.book.classroom.observe import Values
from lorabook.book.classroom.plain import Array, Matrix, scaled, shape_of, times
from lorabook.book.classroom.seen import Seen


@dataclass(frozen=True)
class Change:
    """A ΔW, its terms σᵢuᵢvᵢᵀ with their σᵢ, and the LoRA that is asked for."""

    delta: Matrix
    terms: list[Matrix]
    sigma: tuple[float, ...]
    r: int
    alpha: float

    @property
    def given(self) -> dict[str, object]:
        return {"delta": Array(self.delta), "r": self.r, "alpha": self.alpha}


def draw_cases(stream: random.Random) -> list[Change]:
    """Return a tall, a wide and a square case; α/r is never 1."""
    shapes = ((6, stream.randint(4, 5), 2, 5.0), (4, stream.randint(5, 7), 3, 7.0), (5, 5, 1, 3.0))
    return [_case(d_out, d_in, r, alpha, stream) for d_out, d_in, r, alpha in shapes]


def _case(d_out: int, d_in: int, r: int, alpha: float, stream: random.Random) -> Change:
    sigma = falling(min(d_out, d_in), stream)
    return Change(*with_spectrum(d_out, d_in, sigma, stream), sigma, r, alpha)


def answer(
    c: Change,
    size: Callable[[float], float] = lambda sigma: sigma,
    left: Callable[[float], float] = lambda s: 1.0,
    kept: Callable[[Change], slice] = lambda c: slice(0, c.r),
) -> Matrix:
    """Return Σ_{i≤r} σᵢuᵢvᵢᵀ, which (α/r)·BA must be. Source: Eckart, Young 1936.

    `left(α/r)` is the factor that stands before it when the division by α/r went wrong.
    """
    factor = left(c.alpha / c.r)
    both = zip(c.sigma[kept(c)], c.terms[kept(c)], strict=True)
    return total([scaled(factor * size(sigma) / sigma, term) for sigma, term in both])


NO_SCALE = "Your B and A give ΔW_r as they stand, but the layer multiplies BA by α/r: divide by it once, in B or in A."
TWICE = "You multiply by α/r where you should divide: the layer multiplies once more."
BOTH_SIDES = "σ stands in B and in A, so BA holds σ². Put it in one of the two, or √σ in each."
NO_SIGMA = "You left σ out: BA has the right directions, and each of them with weight 1."
WEAKEST = "You kept the last r directions. torch sorts σ from large to small: the first r are the strong ones."
SWAPPED = "You return A first. The order is B, A, as in the product BA."
ROOT_ONCE = "√σ stands in one of B and A only. Put √σ in both, or σ in one."
DIVIDED_TWICE = "You divide by α/r in B and in A. Once is enough, in either."

MISTAKES = (
    Mistake("no-scale", NO_SCALE, {"left": lambda s: s}, points=0.5),
    Mistake("twice", TWICE, {"left": lambda s: s**2}),
    Mistake("divided-twice", DIVIDED_TWICE, {"left": lambda s: 1 / s}),
    Mistake("both-sides", BOTH_SIDES, {"size": lambda sigma: sigma**2}),
    Mistake("no-sigma", NO_SIGMA, {"size": lambda sigma: 1.0}),
    Mistake("root-once", ROOT_ONCE, {"size": lambda sigma: sigma**0.5}),
    Mistake("weakest", WEAKEST, {"kept": lambda c: slice(-c.r, None)}),
)


def update(c: Change, seen: Seen) -> Matrix:
    """Return (α/r)·BA of an answer.

    Raises:
        Unfit: B and A have other shapes.
    """
    b, a = seen.parts
    shapes, due = [shape_of(b), shape_of(a)], [(len(c.delta), c.r), (c.r, len(c.delta[0]))]
    if shapes == due:
        return scaled(c.alpha / c.r, times(b, a))
    if shapes == due[::-1]:
        raise Unfit("swapped", SWAPPED)
    came, expected = (" and ".join(map(sizes, both)) for both in (shapes, due))
    raise Unfit("shape", f"For r = {c.r} and a delta of {sizes(shape_of(c.delta))} your B and A are {came}; they "
                f"should be {expected}.")  # fmt: skip


EXERCISE = Exercise(
    title="Extract a LoRA from a fine-tuned model",
    function="extract",
    difficulty=3,
    minutes=12,
    prompt=(
        "Someone fine-tuned every weight; you want to ship an adapter. Write `extract(delta, r, alpha)` that returns "
        "`B, A` (d_out × r and r × d_in) such that LoRA's update (α/r)·BA is the best rank-r approximation of `delta`."
    ),
    hints=(
        "Which r terms of Σ σᵢuᵢvᵢᵀ do you keep? `torch.linalg.svd(delta, full_matrices=False)` gives u, σ, vᵀ.",
        "The columns of B are the kept uᵢ, the rows of A the kept vᵢᵀ. Where does σᵢ go? Anywhere, once.",
        "The layer will multiply BA by α/r. What must BA be, so that the product is right? (If r = α, no test notices. "
        "That is why the mistake lives so long.)",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
    observe=Values(("B", "A")),
    measure=update,
)
