"""Exercise: the branch of LoRA-FA, through which a gradient still goes down to x."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.compare import close
from lorabook.book.classroom.exercise import Exercise, Mistake, Sign
from lorabook.book.classroom.plain import Array, Matrix, cotangent, draw, scaled, times, turned
from lorabook.book.classroom.seen import Seen
from lorabook.book.classroom.traced import forward_pass


@dataclass(frozen=True)
class Branch:
    """Inputs x (one row each), the factors, and the scale."""

    x: Matrix
    A: Matrix
    B: Matrix
    s: float

    @property
    def given(self) -> dict[str, object]:
        return {"x": Array(self.x), "A": Array(self.A), "B": Array(self.B), "s": self.s}


def draw_cases(stream: random.Random) -> list[Branch]:
    """Return a square case, where every product has a shape, then a tall and a wide matrix."""
    shapes = ((3, 3, 3, 3, 1.7), (3, stream.randint(8, 11), 6, 2, 2.5), (4, 5, stream.randint(8, 13), 3, 0.4))
    return [
        Branch(draw(n, d_in, stream), draw(r, d_in, stream), draw(d_out, r, stream), s)
        for n, d_out, d_in, r, s in shapes
    ]


def _through(x: Matrix, first: Matrix, second: Matrix, columns: int) -> Matrix | None:
    """Return x·first·second if that has so many columns."""
    between = times(x, first)
    result = None if between is None else times(between, second)
    return None if result is None or len(result[0]) != columns else result


def answer(
    c: Branch,
    by: Callable[[float], float] = lambda s: s,
    path: Callable[[Branch], Matrix | None] = lambda c: _through(c.x, turned(c.A), turned(c.B), len(c.B)),
) -> Matrix | None:
    """Return s·(xAᵀ)Bᵀ."""
    result = path(c)
    return None if result is None else scaled(by(c.s), result)


NO_SCALE = "The branch is not multiplied by s."
SCALE_TWICE = "The branch is multiplied by s twice: once is enough, on A, on B, or on the result."
CROSSED = "x meets B before A. A reduces x to r numbers, then B makes d_out of them: s·B(Ax)."
UNTURNED = "A and B are not transposed: with one input in each row, Ax is `x @ A.T`, and the same for B."
CUTS_INPUT = (
    "∂L/∂x is cut: the branch's share, s·g·BA, does not reach the layers below, and they learn from a model that has "
    "no branch. Freeze A, not its output."
)
TRAINS_A = "A gets a gradient: it is a product with x, so x is kept, and nothing is saved. Detach A."
B_STILL = "B gets no gradient, or a wrong one. It is all that trains here: ∂L/∂B = s·g(Ax)ᵀ."
BUILT = "A and B meet before x does: that builds ΔW, and its gradient needs x. Apply A to x first, then B."

MISTAKES = (
    Mistake("no-scale", NO_SCALE, {"by": lambda s: 1.0}),
    Mistake("scale-twice", SCALE_TWICE, {"by": lambda s: s * s}),
    Mistake("crossed", CROSSED, {"path": lambda c: _through(c.x, turned(c.B), turned(c.A), len(c.B))}),
    Mistake("unturned", UNTURNED, {"path": lambda c: _through(c.x, c.A, c.B, len(c.B))}),
)


def built(c: Branch, seen: Seen) -> bool:
    """Say whether A and B met in a product before x came in."""
    return any({"A", "B"} <= set(names) and "x" not in names for names in seen.met)


def cuts_input(c: Branch, seen: Seen) -> bool:
    """Say whether x got another gradient than s·gBA."""
    due = scaled(c.s, times(times(cotangent(len(c.x), len(c.B)), c.B), c.A))
    return seen.gradients["x"] is None or not close(seen.gradients["x"], due)


def trains_a(c: Branch, seen: Seen) -> bool:
    """Say whether A got a gradient."""
    return seen.gradients["A"] is not None


def b_still(c: Branch, seen: Seen) -> bool:
    """Say whether B got no gradient, or another one than s·gᵀ(xAᵀ)."""
    due = scaled(c.s, times(turned(cotangent(len(c.x), len(c.B))), times(c.x, turned(c.A))))
    return seen.gradients["B"] is None or not close(seen.gradients["B"], due)


CONDITIONS = (
    Sign("built", BUILT, built, points=0.5),
    Sign("b-still", B_STILL, b_still, points=0.5),
    Sign("cuts-input", CUTS_INPUT, cuts_input, points=0.5),
    Sign("trains-a", TRAINS_A, trains_a, points=0.5),
)

EXERCISE = Exercise(
    title="Freeze A, and nothing else",
    function="branch",
    difficulty=2,
    minutes=5,
    prompt=(
        "A pull request. “LoRA-FA: `with torch.no_grad(): h = x @ A.T`, then `return s * (h @ B.T)`. x is not kept any "
        "more, and the outputs are unchanged.” Both are true, and yet the model trains worse than it should. Write "
        "`branch(x, A, B, s)`, which returns s·B(Ax) for inputs x with one input in each row. x, A and B come asking "
        "for a gradient, as in a layer inside a model: A must get none, x and B the right ones."
    ),
    hints=(
        "Which gradients does `no_grad` stop? List ∂L/∂A, ∂L/∂B and ∂L/∂x, and say for each whether LoRA-FA needs it.",
        "The layers below need ∂L/∂x = s·AᵀBᵀg. It is a product with A, not with x: it keeps nothing more.",
        "Only A is cut off: `A.detach()` in place of `A`, and no `no_grad`.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
    observe=forward_pass,
    conditions=CONDITIONS,
)
