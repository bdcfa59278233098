"""Exercise: give an rsLoRA adapter to a server that knows α/r alone, and one rank for all its adapters."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.compare import sizes
from lorabook.book.classroom.exercise import Exercise, Mistake, Unfit
from lorabook.book.classroom.observe import Values
from lorabook.book.classroom.plain import Array, Matrix, draw, scaled, shape_of, times
from lorabook.book.classroom.seen import Seen


@dataclass(frozen=True)
class Adapter:
    """An adapter of rank r trained under α/√r, and the rank R that the server's pages have."""

    A: Matrix
    B: Matrix
    alpha: float
    R: int

    @property
    def r(self) -> int:
        return len(self.A)

    @property
    def given(self) -> dict[str, object]:
        return {"A": Array(self.A), "B": Array(self.B), "alpha": self.alpha, "R": self.R}


def draw_cases(stream: random.Random) -> list[Adapter]:
    """Return a tall, a wide and a square case; R is larger than r, and no ratio of them is 1 or a root of another."""
    shapes = ((stream.randint(9, 11), 8, 2, 5.0, 7), (8, stream.randint(9, 11), 3, 7.0, 5), (8, 8, 3, 11.0, 8))
    return [Adapter(draw(r, d_in, stream), draw(d_out, r, stream), alpha, R) for d_out, d_in, r, alpha, R in shapes]


def answer(c: Adapter, over: Callable[[Adapter], float] = lambda c: c.alpha / c.r**0.5 * c.R) -> Matrix:
    """Return what the server adds to W₀, (α'/R)·B'A', which must be (α/√r)·BA: α' = αR/√r with padded factors."""
    return scaled(over(c) / c.R, times(c.B, c.A))


KEPT = "You hand α on as it is. The server divides it by R; this adapter was trained with α/√r."
OLD_RANK = "Your α' is α√r: right for a server of rank r. This one divides by R, so α' = α·R/√r."
NEW_RANK = "Your α' is α√R. The root is that of the rank that was trained, r; only the server's division is by R."
PLAIN = "You keep α/r. That is the scale of LoRA; the adapter was trained with α/√r."
SCALE = "Your α' is the scale itself, α/√r. The server divides by R once more: multiply by R."

MISTAKES = (
    Mistake("kept", KEPT, {"over": lambda c: c.alpha}),
    Mistake("old-rank", OLD_RANK, {"over": lambda c: c.alpha * c.r**0.5}, points=0.5),
    Mistake("new-rank", NEW_RANK, {"over": lambda c: c.alpha * c.R**0.5}),
    Mistake("plain", PLAIN, {"over": lambda c: c.alpha / c.r * c.R}),
    Mistake("scale", SCALE, {"over": lambda c: c.alpha / c.r**0.5}),
)


def served(c: Adapter, seen: Seen) -> Matrix:
    """Return (α'/R)·B'A' of an answer.

    Raises:
        Unfit: A' and B' have other shapes, or α' is no number.
    """
    a, b, alpha = seen.parts
    shapes, due = [shape_of(a), shape_of(b)], [(c.R, len(c.A[0])), (len(c.B), c.R)]
    if shapes == due and isinstance(alpha, int | float):
        return scaled(alpha / c.R, times(b, a))
    if shapes == [shape_of(c.A), shape_of(c.B)]:
        raise Unfit("unpadded", f"Your A and B still have rank {c.r}; the server's have rank {c.R}: pad with zeros.")
    if shapes == due[::-1]:
        raise Unfit("swapped", "You return B first. The order is A, B, alpha.")
    came, expected = (" and ".join(map(sizes, both)) for both in (shapes, due))
    raise Unfit("shape", f"Your A and B are {came}, with an alpha of size {sizes(shape_of(alpha))}; they should be "
                f"{expected}, and alpha a number.")  # fmt: skip


EXERCISE = Exercise(
    title="Serve it where nobody knows the root",
    function="for_server",
    difficulty=2,
    minutes=10,
    prompt=(
        "An adapter of rank r was trained with s = α/√r. A server keeps all its adapters at one rank R > r and "
        "computes W₀x + (α/R)·B(Ax); it has never heard of rsLoRA. Write `for_server(A, B, alpha, R)` that returns "
        "`A, B, alpha` for it, A of size R × d_in and B of size d_out × R, such that it serves exactly the trained "
        "update. (`A.shape[0]` is r.)"
    ),
    hints=(
        "First the shapes: which rows may you add to A, and which columns to B, so that BA stays what it is?",
        "Zeros. Now the scale: the server multiplies by α'/R, the training did by α/√r.",
        "α' = α·R/√r.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
    observe=Values(("A", "B", "alpha")),
    measure=served,
)
