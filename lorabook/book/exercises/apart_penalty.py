"""Exercise: O-LoRA's penalty, λ·Σ (A₁Aᵀ)², on the factor that reads."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise, Mistake
from lorabook.book.classroom.plain import Array, Matrix, draw, entries, times, turned


@dataclass(frozen=True)
class Adapters:
    """The factors of a new task and of an earlier one on a layer, and the weight of the penalty."""

    A: Matrix
    B: Matrix
    A1: Matrix
    B1: Matrix
    weight: float

    @property
    def given(self) -> dict[str, object]:
        arrays = {"A": self.A, "B": self.B, "A1": self.A1, "B1": self.B1}
        return {**{name: Array(value) for name, value in arrays.items()}, "weight": self.weight}


def draw_cases(stream: random.Random) -> list[Adapters]:
    """Return a square layer with equal ranks, where every product has a shape, then two of unequal ranks."""
    shapes = ((3, 3, 3, 3, 0.5), (4, stream.randint(5, 7), 2, 3, 1.7), (stream.randint(5, 7), 4, 3, 2, 0.3))
    return [_case(*shape, stream) for shape in shapes]


def _case(d_out: int, d_in: int, r: int, r1: int, weight: float, stream: random.Random) -> Adapters:
    sizes = ((r, d_in), (d_out, r), (r1, d_in), (d_out, r1))
    return Adapters(*(draw(*size, stream) for size in sizes), weight)


def readers(c: Adapters) -> Matrix | None:
    """Return A₁Aᵀ."""
    return times(c.A1, turned(c.A))


def _squares(overlap: Matrix) -> float:
    return sum(x * x for x in entries(overlap))


def answer(
    c: Adapters,
    overlap: Callable[[Adapters], Matrix | None] = readers,
    measure: Callable[[Matrix], float] = _squares,
    weighted: Callable[[float, float], float] = lambda weight, size: weight * size,
) -> float | None:
    """Return λ·Σ_jk (A₁Aᵀ)²_jk. Source: Wang et al. 2023 (2310.14152), equations 7 and 8."""
    product = overlap(c)
    return None if product is None else weighted(c.weight, measure(product))


def _diagonal(overlap: Matrix) -> float:
    return sum(row[i] ** 2 for i, row in enumerate(overlap) if i < len(row))


WRITERS = (
    "You measure B₁ᵀB, the factors that write. Orthogonal outputs are outputs all the same: an old input is changed "
    "by what A reads. Use A₁Aᵀ."
)
TURNED = "You multiply A₁ᵀA: rank with rank. Rows must meet rows, over the d_in inputs: A₁Aᵀ, r₁ × r."
SUM = "You add the entries as they are. Plus and minus cancel: a sum of 0 is no orthogonality. Square each entry first."
ABSOLUTES = (
    "You add absolute values. So does the authors' code, but the paper's equation, and this exercise, add squares."
)
MEAN = "You take the mean of the squares. The sum is asked for: λ must not shrink when ranks grow."
NORM = "You take the root of the sum of squares. Its pull does not fade near zero; the sum of squares has no root."
SUM_SQUARED = "You square the sum. Square each entry, then add: else plus and minus cancel."
DIAGONAL = "You compare row j of A₁ with row j of A only. Every row must be orthogonal to every row."
NO_WEIGHT = "λ is missing: `weight` times the sum of squares."
DIVIDED = "You divide by λ. Multiply: a larger λ holds the rows apart more strongly."
MISTAKES = (
    Mistake("writers", WRITERS, {"overlap": lambda c: times(turned(c.B1), c.B)}),
    Mistake("turned", TURNED, {"overlap": lambda c: times(turned(c.A1), c.A)}),
    Mistake("sum", SUM, {"measure": lambda overlap: sum(entries(overlap))}),
    Mistake("absolutes", ABSOLUTES, {"measure": lambda overlap: sum(map(abs, entries(overlap)))}, points=0.5),
    Mistake("mean", MEAN, {"measure": lambda overlap: _squares(overlap) / len(entries(overlap))}),
    Mistake("norm", NORM, {"measure": lambda overlap: _squares(overlap) ** 0.5}),
    Mistake("sum-squared", SUM_SQUARED, {"measure": lambda overlap: sum(entries(overlap)) ** 2}),
    Mistake("diagonal", DIAGONAL, {"measure": _diagonal}),
    Mistake("no-weight", NO_WEIGHT, {"weighted": lambda weight, size: size}, points=0.5),
    Mistake("divided", DIVIDED, {"weighted": lambda weight, size: size / weight}),
)

EXERCISE = Exercise(
    title="Repair the penalty",
    function="penalty",
    difficulty=2,
    minutes=5,
    prompt=(
        "A pull request says `return weight * (B1.T @ B).sum() ** 2`. It trains, the number falls, and the first task "
        "is forgotten as before. Two things are wrong. Write `penalty(A, B, A1, B1, weight)`: O-LoRA's penalty for "
        "a new adapter (A: r × d_in, B: d_out × r) beside an earlier one (A1, B1, of rank r₁)."
    ),
    hints=(
        "Which factor decides whether an input of the first task reaches the new adapter at all?",
        "Two rows, one with overlap +1 and one with −1: what does the pull request's sum say of them?",
        "The overlap is `A1 @ A.T`; square it entry by entry, add, and multiply by `weight`.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
)
