"""Exercise: the scale of the update, ΔW = (α/r)·BA."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise, Mistake
from lorabook.book.classroom.plain import Array, Matrix, draw, scaled, times, turned


@dataclass(frozen=True)
class Factors:
    """One layer's factors."""

    A: Matrix
    B: Matrix
    alpha: float
    r: int

    @property
    def given(self) -> dict[str, object]:
        return {"A": Array(self.A), "B": Array(self.B), "alpha": self.alpha, "r": self.r}


def draw_cases(stream: random.Random) -> list[Factors]:
    """Return a square case, where every product has a shape, then a wide and a tall one. α is never r, √r or 1."""
    shapes = ((3, 3, 3, 7.0), (3, stream.randint(4, 7), 2, 5.0), (stream.randint(5, 8), 3, 2, 9.0))
    return [Factors(draw(r, d_in, stream), draw(d_out, r, stream), alpha, r) for d_out, d_in, r, alpha in shapes]


def _b_by_a(c: Factors) -> Matrix | None:
    return times(c.B, c.A)


def _as_it_is(update: Matrix) -> Matrix:
    return update


def answer(
    c: Factors,
    s: Callable[[float, int], float] = lambda alpha, r: alpha / r,
    product: Callable[[Factors], Matrix | None] = _b_by_a,
    lies: Callable[[Matrix], Matrix] = _as_it_is,
) -> Matrix | None:
    """Return (α/r)·BA. Source: Hu et al. 2021 (2106.09685), section 4.1."""
    update = product(c)
    return None if update is None else lies(scaled(s(c.alpha, c.r), update))


ALPHA = (
    "You multiply by α. The scale is α/r: without the division the update is r times too large, and doubling r "
    "doubles it."
)
ROOT = "You multiply by α/√r. That is rsLoRA's scale, a variant of its own; LoRA divides by r."
TWICE = "You apply the scale twice: (α/r)². Multiply once."
UPSIDE_DOWN = "You multiply by r/α: the fraction is upside down. α is the numerator."
NO_SCALE = (
    "You return BA without a scale. That is right only where α = r, which is what hides this mistake in most codes."
)
NO_ALPHA = "You divide by r and leave out α."
SWAPPED = (
    "You multiply A by B. It must be B by A: (d_out × r)·(r × d_in) gives d_out × d_in; the other order gives r × "
    "r, or nothing."
)
TURNED = (
    "You return the transpose, d_in × d_out. W₀ is d_out × d_in, as torch's Linear stores it, and so is ΔW = (α/r)·BA."
)
ROOT_OF_BOTH = "You take √(α/r). A factor √(α/r) in A and another in B would be right; once, it is too small."

MISTAKES = (
    Mistake("alpha", ALPHA, {"s": lambda alpha, r: alpha}),
    Mistake("root", ROOT, {"s": lambda alpha, r: alpha / r**0.5}),
    Mistake("twice", TWICE, {"s": lambda alpha, r: (alpha / r) ** 2}),
    Mistake("upside-down", UPSIDE_DOWN, {"s": lambda alpha, r: r / alpha}),
    Mistake("no-scale", NO_SCALE, {"s": lambda alpha, r: 1.0}),
    Mistake("no-alpha", NO_ALPHA, {"s": lambda alpha, r: 1 / r}),
    Mistake("root-of-both", ROOT_OF_BOTH, {"s": lambda alpha, r: (alpha / r) ** 0.5}),
    Mistake("swapped", SWAPPED, {"product": lambda c: times(c.A, c.B)}),
    Mistake("turned", TURNED, {"lies": turned}, points=0.5),
)

EXERCISE = Exercise(
    title="Repair the scale",
    function="delta_w",
    difficulty=1,
    minutes=5,
    prompt=(
        "A pull request says `return alpha * (A @ B)`. It runs on the author's square test layer, and two things "
        "are wrong with it. Write `delta_w(A, B, alpha, r)` so that it returns LoRA's ΔW (d_out × d_in) from A "
        "(r × d_in) and B (d_out × r)."
    ),
    hints=(
        "Write the shapes of A and B beside each other. Which order leaves d_out × d_in?",
        "s = α/r can be tried on paper: for α = 16 and r = 8 it is 2. What stands in the pull request?",
        "ΔW = (α/r)·BA, and a matrix product in torch is `@`.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
)
