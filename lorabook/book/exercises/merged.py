"""Exercise: the update of several adapters together, Σ w_i s_i B_i A_i."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise, Mistake
from lorabook.book.classroom.plain import Array, Matrix, draw, plus, scaled, times


@dataclass(frozen=True)
class Several:
    """Adapters of one rank on a layer, each with its scale, and a weight for each."""

    A: list[Matrix]
    B: list[Matrix]
    s: list[float]
    w: list[float]

    @property
    def given(self) -> dict[str, object]:
        return {name: Array(value) for name, value in (("A", self.A), ("B", self.B), ("s", self.s), ("w", self.w))}


def draw_cases(stream: random.Random) -> list[Several]:
    """Return a case in which all sides are alike, so that every product has a shape; then sides of their own."""
    shapes = ((3, 3, 3, 3), (2, stream.randint(5, 6), 4, 2), (4, 3, stream.randint(5, 6), 1))
    return [_case(*shape, stream) for shape in shapes]


def _case(n: int, d_out: int, d_in: int, r: int, stream: random.Random) -> Several:
    scales = [stream.choice((0.5, 2.0, 3.0)) + i for i in range(n)]
    a, b = [draw(r, d_in, stream) for _ in range(n)], [draw(d_out, r, stream) for _ in range(n)]
    return Several(a, b, scales, [abs(w) + 0.3 for w in draw(1, n, stream)[0]])


def total(matrices: list[Matrix]) -> Matrix:
    """Return the sum of some matrices."""
    result = matrices[0]
    for matrix in matrices[1:]:
        result = plus(result, matrix)
    return result


Sizes = Callable[[Several], list[float]]


def products(c: Several, sizes: list[float]) -> Matrix:
    """Return Σ size_i B_i A_i."""
    return total([scaled(size, times(b, a)) for size, a, b in zip(sizes, c.A, c.B, strict=True)])


def sums(c: Several, sizes: list[float]) -> Matrix:
    """Return (Σ w_i B_i)(Σ w_i A_i), times the scale that size_i/w_i has for the first adapter."""
    b = total([scaled(w, matrix) for w, matrix in zip(c.w, c.B, strict=True)])
    a = total([scaled(w, matrix) for w, matrix in zip(c.w, c.A, strict=True)])
    return scaled(sizes[0] / c.w[0], times(b, a))


def roots(c: Several, sizes: list[float]) -> Matrix:
    """Return (Σ √size_i B_i)(Σ √size_i A_i)."""
    b = total([scaled(size**0.5, matrix) for size, matrix in zip(sizes, c.B, strict=True)])
    a = total([scaled(size**0.5, matrix) for size, matrix in zip(sizes, c.A, strict=True)])
    return times(b, a)


def answer(
    c: Several,
    join: Callable[[Several, list[float]], Matrix] = products,
    scale: Sizes = lambda c: c.s,
    weight: Sizes = lambda c: c.w,
    share: Callable[[Several], float] = lambda c: 1.0,
) -> Matrix:
    """Return Σ w_i s_i B_i A_i."""
    return scaled(share(c), join(c, [s * w for s, w in zip(scale(c), weight(c), strict=True)]))


SUMS = (
    "You multiply sums: the terms B_iA_j of two different adapters come in, and each adapter's own term gets w². "
    "Multiply B_i by A_i first, then add."
)
ROOTS = (
    "That is PEFT's \"linear\": each adapter's own term has the right weight, and terms B_iA_j of two different "
    "adapters come in beside them. Multiply B_i by A_i first, then add."
)
FIRST = "You take the first adapter's scale for all. Each was trained with its own: s[i] belongs to B[i] and A[i]."
NO_SCALE = "The scales are missing: an adapter's update is s·BA."
NO_WEIGHT = "The weights are missing."
SQUARED = "Each adapter's own term has the weight w². That is LoRAHub's; asked is w."
MEAN = "You divide by the number of adapters. The weights say how much of each; asked is the sum."
NORMED = "You divide by the sum of the weights. Weights may add up to anything; asked is the sum."
MISTAKES = (
    Mistake("sums", SUMS, {"join": sums}),
    Mistake("roots", ROOTS, {"join": roots}),
    Mistake("first-scale", FIRST, {"scale": lambda c: [c.s[0]] * len(c.s)}),
    Mistake("no-scale", NO_SCALE, {"scale": lambda c: [1.0] * len(c.s)}),
    Mistake("no-weight", NO_WEIGHT, {"weight": lambda c: [1.0] * len(c.w)}),
    Mistake("squared", SQUARED, {"weight": lambda c: [w * w for w in c.w]}),
    Mistake("mean", MEAN, {"share": lambda c: 1 / len(c.w)}),
    Mistake("normed", NORMED, {"share": lambda c: 1 / sum(c.w)}),
)

EXERCISE = Exercise(
    title="Repair the merge",
    function="merged_update",
    difficulty=2,
    minutes=5,
    prompt=(
        "A pull request adds adapters up for merging: `return s[0] * (w[:, None, None] * B).sum(0) @ "
        "(w[:, None, None] * A).sum(0)`. Its test has one adapter, with weight 1. Write `merged_update(A, B, s, w)`, "
        "which returns the ΔW that all n adapters make together. A is n × r × d_in, B is n × d_out × r; s has each "
        "adapter's scale α/r, and w its weight."
    ),
    hints=(
        "Write the pull request's product out for two adapters. How many terms has it? How many should there be?",
        "B[i] @ A[i] for each i first. `B @ A` does that for all of them at once.",
        "`((w * s)[:, None, None] * (B @ A)).sum(0)`",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
)
