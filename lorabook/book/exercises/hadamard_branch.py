"""Exercise: LoHa's branch s·((B₁A₁) ⊙ (B₂A₂))x: the two products are multiplied, and not what they give for x."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise, Mistake
from lorabook.book.classroom.plain import Array, Matrix, draw, entrywise, plus, scaled, times, turned


@dataclass(frozen=True)
class Branch:
    """Inputs x (one row each), the two pairs of factors, and the scale."""

    x: Matrix
    A1: Matrix
    B1: Matrix
    A2: Matrix
    B2: Matrix
    s: float

    @property
    def given(self) -> dict[str, object]:
        return {**{name: Array(getattr(self, name)) for name in ("x", "A1", "B1", "A2", "B2")}, "s": self.s}


def draw_cases(stream: random.Random) -> list[Branch]:
    """Return a tall and a wide case, and a square one where every product has a shape."""
    shapes = ((3, stream.randint(6, 7), 5, 2, 2.5), (4, 5, stream.randint(6, 7), 3, 0.4), (2, 4, 4, 2, 1.7))
    return [
        Branch(draw(rows, d_in, stream), draw(r, d_in, stream), draw(d_out, r, stream), draw(r, d_in, stream),
               draw(d_out, r, stream), s)
        for rows, d_out, d_in, r, s in shapes
    ]  # fmt: skip


def _multiplied(c: Branch) -> Matrix:
    return times(c.x, turned(entrywise(times(c.B1, c.A1), times(c.B2, c.A2))))


def answer(
    c: Branch,
    branch: Callable[[Branch], Matrix | None] = _multiplied,
    by: Callable[[float], float] = lambda s: s,
) -> Matrix | None:
    """Return s·((B₁A₁) ⊙ (B₂A₂))x for each x. Source: Hyeon-Woo, Ye-Bin, Oh 2021 (2108.06098), equation 2."""
    found = branch(c)
    return None if found is None else scaled(by(c.s), found)


def _outputs(c: Branch) -> Matrix:
    one, other = (times(c.x, turned(times(b, a))) for b, a in ((c.B1, c.A1), (c.B2, c.A2)))
    return entrywise(one, other)


def _paired(c: Branch) -> Matrix:
    return times(c.x, turned(times(entrywise(c.B1, c.B2), entrywise(c.A1, c.A2))))


def _added(c: Branch) -> Matrix:
    return times(c.x, turned(plus(times(c.B1, c.A1), times(c.B2, c.A2))))


def _chained(c: Branch) -> Matrix | None:
    product = times(times(c.B1, c.A1), times(c.B2, c.A2))
    return None if product is None else times(c.x, turned(product))


def _turned(c: Branch) -> Matrix | None:
    return times(c.x, entrywise(times(c.B1, c.A1), times(c.B2, c.A2)))


OUTPUTS = (
    "You multiply what the two products give for x, entry by entry. That is quadratic in x: with 2x it is four times "
    "as large. The matrices are multiplied, and then x comes."
)
PAIRED = (
    "(B₁ ⊙ B₂)(A₁ ⊙ A₂) holds the r terms with one index of the r² there are: each column of B₁ must meet each column "
    "of B₂."
)
ADDED = "You add the two products. LoHa multiplies them, entry by entry."
CHAINED = "You multiply the two products as matrices (@). LoHa multiplies them entry by entry (*)."
TURNED = "ΔW is not transposed: with one input in each row the branch is x @ ΔW.T."
NO_SCALE = "The branch is not multiplied by s."
SCALE_TWICE = "Both products are multiplied by s, so the branch has s². Once is enough."

MISTAKES = (
    Mistake("outputs", OUTPUTS, {"branch": _outputs}),
    Mistake("paired", PAIRED, {"branch": _paired}),
    Mistake("added", ADDED, {"branch": _added}),
    Mistake("chained", CHAINED, {"branch": _chained}),
    Mistake("turned", TURNED, {"branch": _turned}),
    Mistake("no-scale", NO_SCALE, {"by": lambda s: 1.0}, points=0.5),
    Mistake("scale-twice", SCALE_TWICE, {"by": lambda s: s * s}, points=0.5),
)

EXERCISE = Exercise(
    title="Two cheap paths, multiplied",
    function="loha_branch",
    difficulty=1,
    minutes=5,
    prompt=(
        "A pull request saves LoHa the two products:\n\n```python\n"
        "return s * (x @ A1.T @ B1.T) * (x @ A2.T @ B2.T)\n```\n\nIts test sends the rows of `torch.eye(d_in)` "
        "through, and passes. With real inputs training goes wrong. Write `loha_branch(x, A1, B1, A2, B2, s)`, which "
        "returns s·((B₁A₁) ⊙ (B₂A₂))x, with one input in each row of x, A₁ and A₂: r × d_in, B₁ and B₂: d_out × r."
    ),
    hints=(
        "Send 2x through the pull request. What should a linear layer return, and what does it?",
        "Row j of the identity picks column j of each product, so there the order does not matter. For other x it "
        "does: first ⊙, then x.",
        "Build ΔW = s * (B1 @ A1) * (B2 @ A2), and return x @ ΔW.T.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
)
