"""Exercise: DyLoRA's branch at the drawn rank b, (α/b)·B[:, :b] A[:b] x, and what of it trains in the frozen form."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.compare import close
from lorabook.book.classroom.exercise import Exercise, Mistake, Sign
from lorabook.book.classroom.plain import Array, Matrix, cotangent, draw, scaled, times, turned
from lorabook.book.classroom.seen import Seen
from lorabook.book.classroom.traced import forward_pass


@dataclass(frozen=True)
class Step:
    """Inputs x (one row each), the factors of rank r, the rank b that was drawn, and which form it is."""

    x: Matrix
    A: Matrix
    B: Matrix
    alpha: float
    b: int
    frozen: bool

    @property
    def r(self) -> int:
        return len(self.A)

    @property
    def given(self) -> dict[str, object]:
        arrays = {name: Array(value) for name, value in (("x", self.x), ("A", self.A), ("B", self.B))}
        return {**arrays, "alpha": self.alpha, "b": self.b, "frozen": self.frozen}


def draw_cases(stream: random.Random) -> list[Step]:
    """Return two steps of each form; 1 < b < r, and α is none of b, r and 1."""
    shapes = (
        (3, 6, 5, 4, 7.0, 2, False),
        (4, stream.randint(7, 9), 6, 5, 8.0, 3, False),
        (3, 7, stream.randint(8, 9), 5, 11.0, 3, True),
        (4, 6, 6, 6, 9.0, 4, True),
    )
    return [
        Step(draw(n, d_in, stream), draw(r, d_in, stream), draw(d_out, r, stream), alpha, b, frozen)
        for n, d_out, d_in, r, alpha, b, frozen in shapes
    ]


def answer(
    c: Step,
    rows: Callable[[Step], slice] = lambda c: slice(c.b),
    scale: Callable[[Step], float] = lambda c: c.alpha / c.b,
) -> Matrix:
    """Return (α/b)·(xA[:b]ᵀ)B[:, :b]ᵀ, in both forms. Source: 2210.07558, section 3.2."""
    a, b = c.A[rows(c)], [row[rows(c)] for row in c.B]
    return scaled(scale(c), times(times(c.x, turned(a)), turned(b)))


KEPT = (
    "Your scale is α/r, as in the pull request. A step at rank b is the step of a LoRA of rank b: α/b. With b = r, as "
    "in its test, the two are one."
)
ROOT = "Your scale is α/r·√(r/b). The authors' code has that root on A and on B: together they make α/b."
WHOLE = "You use all r rows. What is beyond b is in no product of this step."
ALONE = (
    "In the frozen form you multiply with row b alone. The branch is the same in both forms, all b rows; they differ "
    "in what gets a gradient."
)
LESS = "You use b − 1 rows. b counts from 1: the first b are A[:b] and B[:, :b]."
MORE = "You use b + 1 rows. b counts from 1: the first b are A[:b] and B[:, :b]."
LAST = "You use the last b rows. A smaller rank must be the beginning of a larger one: the first b."
NO_SCALE = "Your scale is α. Divide it by b."

MISTAKES = (
    Mistake("kept", KEPT, {"scale": lambda c: c.alpha / c.r}),
    Mistake("root", ROOT, {"scale": lambda c: c.alpha / c.r * (c.r / c.b) ** 0.5}),
    Mistake("no-scale", NO_SCALE, {"scale": lambda c: c.alpha}),
    Mistake("whole", WHOLE, {"rows": lambda c: slice(c.r)}),
    Mistake("alone", ALONE, {"rows": lambda c: slice(c.b - 1 if c.frozen else 0, c.b)}),
    Mistake("less", LESS, {"rows": lambda c: slice(c.b - 1)}),
    Mistake("more", MORE, {"rows": lambda c: slice(c.b + 1)}),
    Mistake("last", LAST, {"rows": lambda c: slice(-c.b, None)}),
)


def due(c: Step) -> Matrix:
    """Return the gradients of the main form, a row for each rank up to b: row i of A, and column i of B beside it."""
    g, s = cotangent(len(c.x), len(c.B)), c.alpha / c.b
    a = scaled(s, times(times(turned(c.B), turned(g)), c.x))
    b = scaled(s, times(turned(times(c.x, turned(c.A))), g))
    return [one + other for one, other in zip(a, b, strict=True)][: c.b]


def came(c: Step, seen: Seen) -> Matrix:
    """Return the gradients that came, in the same places; none is zero."""
    a, b = (seen.gradients[name] or scaled(0.0, whole) for name, whole in (("A", c.A), ("B", c.B)))
    return [one + other for one, other in zip(a, turned(b), strict=True)][: c.b]


def last_still(c: Step, seen: Seen) -> bool:
    """Say whether row b of A and column b of B got another gradient than in the main form."""
    return not close(came(c, seen)[-1], due(c)[-1])


def first_move(c: Step, seen: Seen) -> bool:
    """Say whether a row before b got a gradient in the frozen form."""
    return c.frozen and any(abs(x) > 1e-6 for row in came(c, seen)[:-1] for x in row)


def first_still(c: Step, seen: Seen) -> bool:
    """Say whether the rows before b got another gradient than they should in the main form."""
    return not c.frozen and not close(came(c, seen)[:-1], due(c)[:-1])


def cuts_input(c: Step, seen: Seen) -> bool:
    """Say whether x got another gradient than (α/b)·gB[:, :b]A[:b], which the layers below need in both forms."""
    g = cotangent(len(c.x), len(c.B))
    whole = scaled(c.alpha / c.b, times(times(g, [row[: c.b] for row in c.B]), c.A[: c.b]))
    return seen.gradients["x"] is None or not close(seen.gradients["x"], whole)


LAST_STILL = "Row b of A or column b of B gets no gradient, or a wrong one. It is the one that trains in both forms."
FIRST_MOVE = "In the frozen form rows before b get a gradient. Detach A[:b-1] and B[:, :b-1], and those only."
FIRST_STILL = "Without `frozen` all b rows and columns train, and some of yours get no gradient, or a wrong one."
CUTS_INPUT = (
    "∂L/∂x lacks a share: the layers below learn through all b rows. Frozen are the numbers in A and B, not what "
    "passes through them: detach A and B, not a product."
)

CONDITIONS = (
    Sign("last-still", LAST_STILL, last_still, points=0.5),
    Sign("first-move", FIRST_MOVE, first_move, points=0.5),
    Sign("first-still", FIRST_STILL, first_still, points=0.5),
    Sign("cuts-input", CUTS_INPUT, cuts_input, points=0.5),
)

EXERCISE = Exercise(
    title="One step at rank b",
    function="branch_at",
    difficulty=2,
    minutes=8,
    prompt=(
        "A pull request brings DyLoRA's branch, and its frozen form:\n\n```python\nr = A.shape[0]\n"
        "A, B = A[:b], B[:, :b]\nif frozen:\n    A, B = A.detach(), B.detach()\nreturn alpha / r * (x @ A.T) @ B.T\n"
        "```\n\nIts test has b = r and nothing frozen. Two lines are wrong. Write "
        "`branch_at(x, A, B, alpha, b, frozen)`, "
        "which returns what the branch adds to W₀x at the drawn rank b, for inputs x with one input in each row; A is "
        "r × d_in, B is d_out × r. With `frozen`, row b of A and column b of B alone get a gradient."
    ),
    hints=(
        "Which LoRA does this step train, and what is its α/r? And in the frozen form, who still trains in the pull "
        "request?",
        "The scale is α/b. The first b − 1 rows take part in the product, detached; row b takes part as it is.",
        "`torch.cat([A[:b-1].detach(), A[b-1:b]])`, and the same for the columns of B with dim=1.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
    observe=forward_pass,
    conditions=CONDITIONS,
)
