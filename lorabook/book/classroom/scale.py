"""Exercise: the scale of the update, ΔW = (α/r)·BA."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.diagnosis import Mistake, diagnose
from lorabook.book.classroom.exercise import Exercise, WrongAnswer
from lorabook.book.classroom.plain import Matrix, draw, scaled, times, to_tensor, turned
from lorabook.book.classroom.running import run


@dataclass(frozen=True)
class World:
    """One layer's factors, as plain numbers."""

    A: Matrix
    B: Matrix
    alpha: float
    r: int


def worlds() -> tuple[World, ...]:
    """Return a square case, where every product has a shape, then a wide and a tall one. α is never r, √r or 1."""
    stream = random.Random(20)
    shapes = ((3, 3, 3, 7.0), (4, 6, 2, 5.0), (7, 3, 2, 9.0))
    return tuple(World(draw(r, d_in, stream), draw(d_out, r, stream), alpha, r) for d_out, d_in, r, alpha in shapes)


def right(w: World) -> Matrix:
    """Return (α/r)·BA. Source: Hu et al. 2021 (2106.09685), section 4.1."""
    return scaled(w.alpha / w.r, times(w.B, w.A))


def _with(s: Callable[[float, int], float]) -> Callable[[World], Matrix]:
    return lambda w: scaled(s(w.alpha, w.r), times(w.B, w.A))


def _swapped(w: World) -> Matrix | None:
    product = times(w.A, w.B)
    return None if product is None else scaled(w.alpha / w.r, product)


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

MISTAKES = (
    Mistake(ALPHA, _with(lambda alpha, r: alpha)),
    Mistake(ROOT, _with(lambda alpha, r: alpha / r**0.5)),
    Mistake(TWICE, _with(lambda alpha, r: (alpha / r) ** 2)),
    Mistake(UPSIDE_DOWN, _with(lambda alpha, r: r / alpha)),
    Mistake(NO_SCALE, _with(lambda alpha, r: 1.0)),
    Mistake(NO_ALPHA, _with(lambda alpha, r: 1 / r)),
    Mistake(SWAPPED, _swapped),
    Mistake(TURNED, lambda w: turned(right(w))),
)


def probe(answer: object) -> str | None:
    """Return what is wrong with an answer, or None."""
    results = [run(answer, to_tensor(w.A), to_tensor(w.B), w.alpha, w.r) for w in worlds()]
    return diagnose(worlds(), results, right, MISTAKES)


BANK = (
    WrongAnswer(lambda A, B, alpha, r: alpha * B @ A, ALPHA),
    WrongAnswer(lambda A, B, alpha, r: alpha / r**0.5 * B @ A, ROOT),
    WrongAnswer(lambda A, B, alpha, r: (alpha / r * B) @ (alpha / r * A), TWICE),
    WrongAnswer(lambda A, B, alpha, r: r / alpha * B @ A, UPSIDE_DOWN),
    WrongAnswer(lambda A, B, alpha, r: B @ A, NO_SCALE),
    WrongAnswer(lambda A, B, alpha, r: B @ A / r, NO_ALPHA),
    WrongAnswer(lambda A, B, alpha, r: alpha / r * A @ B, SWAPPED),
    WrongAnswer(lambda A, B, alpha, r: alpha / r * A.T @ B.T, TURNED),
)

EXERCISE = Exercise(
    title="Repair the scale",
    function="delta_w",
    difficulty=1,
    minutes=5,
    prompt=(
        "A pull request says `return alpha * (A @ B)`. It runs on the author's square test layer, and two things "
        "are wrong "
        "with it. Write `delta_w(A, B, alpha, r)` so that it returns LoRA's ΔW (d_out × d_in) from A (r × d_in) and "
        "B (d_out × r)."
    ),
    hints=(
        "Write the shapes of A and B beside each other. Which order leaves d_out × d_in?",
        "s = α/r can be tried on paper: for α = 16 and r = 8 it is 2. What stands in the pull request?",
        "ΔW = (α/r)·BA, and a matrix product in torch is `@`.",
    ),
    probe=probe,
    bank=BANK,
)
