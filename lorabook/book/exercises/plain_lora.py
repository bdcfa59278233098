"""Exercise: a trained PiSSA adapter as a plain LoRA for the W₀ that everyone has: (α/r)(BA − B₀A₀) at rank 2r."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.compare import sizes
from lorabook.book.classroom.exercise import Exercise, Mistake, Unfit
from lorabook.book.classroom.observe import Values
from lorabook.book.classroom.plain import Array, Matrix, draw, plus, scaled, shape_of, times
from lorabook.book.classroom.seen import Seen


@dataclass(frozen=True)
class Trained:
    """The factors after training, those they started from, and α."""

    A: Matrix
    B: Matrix
    A0: Matrix
    B0: Matrix
    alpha: float

    @property
    def r(self) -> int:
        return len(self.A)

    @property
    def given(self) -> dict[str, object]:
        return {**{name: Array(getattr(self, name)) for name in ("A", "B", "A0", "B0")}, "alpha": self.alpha}


def draw_cases(stream: random.Random) -> list[Trained]:
    """Return a tall, a wide and a square case; α is none of r, 2r and 1."""
    shapes = ((stream.randint(9, 11), 7, 2, 5.0), (7, stream.randint(9, 11), 3, 7.0), (8, 8, 3, 11.0))
    return [
        Trained(draw(r, d_in, stream), draw(d_out, r, stream), draw(r, d_in, stream), draw(d_out, r, stream), alpha)
        for d_out, d_in, r, alpha in shapes
    ]


def answer(
    c: Trained,
    new: float = 1.0,
    old: float = -1.0,
    of: Callable[[Trained], tuple[Matrix, Matrix]] = lambda c: (c.A, c.A0),
    factor: Callable[[Trained], float] = lambda c: 1.0,
) -> Matrix:
    """Return what it changes in W₀: (α/r)(BA − B₀A₀). Source: 2404.02948, appendix on conversion to LoRA."""
    first, second = of(c)
    change = plus(scaled(new, times(c.B, first)), scaled(old, times(c.B0, second)))
    return scaled(factor(c) * c.alpha / c.r, change)


KEPT = "You hand α on as it is. The reader divides by the new rank, 2r, so the update comes out half as large."
SQUARED = "You multiply α by 2r/r twice, or by 4. The reader divides by 2r, the training by r: α' = 2α."
SCALE = "Your α' is α/r, or your factors hold α/r already. The reader multiplies by α'/(2r)."
PLUS = "You add s·B₀A₀. It was taken out of W₀ at the start; what training changed is BA − B₀A₀."
ALONE = "You serve BA alone. On the whole W₀ its start is there twice: B₀A₀ has to be subtracted."
REVERSED = "The sign is turned round: what is new is BA, what is subtracted is B₀A₀."
CROSSED = "B meets A₀, and B₀ meets A: the k-th column of B' belongs to the k-th row of A'."

MISTAKES = (
    Mistake("kept", KEPT, {"factor": lambda c: 0.5}, points=0.5),
    Mistake("squared", SQUARED, {"factor": lambda c: 2.0}),
    Mistake("scale", SCALE, {"factor": lambda c: 0.5 / c.r}),
    Mistake("plus", PLUS, {"old": 1.0}),
    Mistake("alone", ALONE, {"old": 0.0}),
    Mistake("reversed", REVERSED, {"new": -1.0, "old": 1.0}),
    Mistake("crossed", CROSSED, {"of": lambda c: (c.A0, c.A)}),
)


def change(c: Trained, seen: Seen) -> Matrix:
    """Return (α'/2r)·B'A' of an answer.

    Raises:
        Unfit: A' and B' have other shapes, or α' is no number.
    """
    a, b, alpha = seen.parts
    d_out, d_in = len(c.B), len(c.A[0])
    shapes, due = [shape_of(a), shape_of(b)], [(2 * c.r, d_in), (d_out, 2 * c.r)]
    if shapes == due and isinstance(alpha, int | float):
        return scaled(alpha / (2 * c.r), times(b, a))
    if shapes == [(c.r, d_in), (d_out, c.r)]:
        raise Unfit("rank", "Your A and B have rank r. BA − B₀A₀ has rank 2r, and (B − B₀)(A − A₀) is something else.")
    if shapes == due[::-1]:
        raise Unfit("swapped", "You return B first. The order is A, B, alpha.")
    came, expected = (" and ".join(map(sizes, both)) for both in (shapes, due))
    raise Unfit("shape", f"Your A and B are {came}, with an alpha of size {sizes(shape_of(alpha))}; they should be "
                f"{expected}, and alpha a number.")  # fmt: skip


EXERCISE = Exercise(
    title="Ship it to someone who has W₀",
    function="as_lora",
    difficulty=2,
    minutes=10,
    prompt=(
        "A PiSSA adapter is trained. You have A and B, the A0 and B0 that it started from, and alpha; the training had "
        "s = α/r. Someone has the original W₀ and a plain LoRA layer, W₀x + (α'/r')·B'(A'x). Write "
        "`as_lora(A, B, A0, B0, alpha)` that returns its `A, B, alpha`, of rank r' = 2r, such that both layers are "
        "one. (`A.shape[0]` is r.)"
    ),
    hints=(
        "Which W does your model have, written with W₀ and the four factors? W_res is W₀ − s·B₀A₀.",
        "W = W₀ + s(BA − B₀A₀). A sum of two products is one product: B and ±B₀ side by side, A and A₀ one below "
        "the other.",
        "B' = [B, −B₀], A' = [A; A₀]. The reader divides α' by 2r, so α' = 2α.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
    observe=Values(("A", "B", "alpha")),
    measure=change,
)
