"""Exercise: the run of LoRA+ in a trainer that has one learning rate and a fixed α."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.compare import sizes
from lorabook.book.classroom.exercise import Exercise, Mistake, Unfit
from lorabook.book.classroom.observe import Values
from lorabook.book.classroom.plain import Array, Matrix, draw, scaled, shape_of
from lorabook.book.classroom.seen import Seen


@dataclass(frozen=True)
class Start:
    """A's start, A's rate and the ratio of a LoRA+ run."""

    A0: Matrix
    lr: float
    ratio: float

    @property
    def given(self) -> dict[str, object]:
        return {"A0": Array(self.A0), "lr": self.lr, "ratio": self.ratio}


def draw_cases(stream: random.Random) -> list[Start]:
    """Return three starts; the ratios and their roots are never 1, and lr is none of them."""
    shapes = ((2, stream.randint(4, 6), 0.01, 16.0), (3, stream.randint(4, 6), 0.02, 4.0), (3, 3, 0.004, 7.0))
    return [Start(draw(r, d_in, stream), lr, ratio) for r, d_in, lr, ratio in shapes]


def answer(
    c: Start,
    start: Callable[[float], float] = lambda ratio: ratio**0.5,
    rate: Callable[[float], float] = lambda ratio: ratio**0.5,
) -> Matrix:
    """Return A's rows, and a row that holds lr over the given one. Source: p = √λ, q = 1/√λ."""
    return [*scaled(start(c.ratio), c.A0), [rate(c.ratio)] * len(c.A0[0])]


WHOLE = (
    "You multiply both by the ratio. A then takes ratio times the steps from a start ratio times as large, which is "
    "right, but B's product with it is too: that run needs α/ratio, and α is fixed. Share the ratio between A and B."
)
RATE_ONLY = "You changed the rate and kept A0. A then moves √ratio times as far beside the same start: another run."
START_ONLY = "You scaled A0 and kept lr. A then hardly moves beside its start, and B is too slow by the root."
SHRUNK = "You shrink A. B has to end smaller than in LoRA+ for its steps to be smaller, so A has to be larger."
SLOWER = "Your rate is lower than lr. One rate for both lies between the two: above A's, below B's."
B_RATE = "You take B's rate for both. Then A0 must be ratio times as large and α ratio times smaller, and α is fixed."
START_WHOLE = "Your A is ratio times A0. It is the root of it: s·BA must stay the same while B shrinks by as much."

MISTAKES = (
    Mistake("whole", WHOLE, {"start": lambda ratio: ratio, "rate": lambda ratio: ratio}),
    Mistake("rate-only", RATE_ONLY, {"start": lambda ratio: 1.0}, points=0.5),
    Mistake("start-only", START_ONLY, {"rate": lambda ratio: 1.0}),
    Mistake("shrunk", SHRUNK, {"start": lambda ratio: ratio**-0.5}),
    Mistake("slower", SLOWER, {"rate": lambda ratio: ratio**-0.5}),
    Mistake("b-rate", B_RATE, {"rate": lambda ratio: ratio}),
    Mistake("start-whole", START_WHOLE, {"start": lambda ratio: ratio}),
)


def run(c: Start, seen: Seen) -> Matrix:
    """Return A's rows, and a row that holds lr over the given one.

    Raises:
        Unfit: A' has another shape, or lr' is no number.
    """
    a, lr = seen.parts
    if isinstance(lr, int | float) and shape_of(a) == shape_of(c.A0):
        return [*a, [lr / c.lr] * len(a[0])]
    if isinstance(a, int | float) and shape_of(lr) == shape_of(c.A0):
        raise Unfit("swapped", "You return lr first. The order is A, lr.")
    came = f"{sizes(shape_of(a))} and {sizes(shape_of(lr))}"
    raise Unfit("shape", f"You return {came}; A should be {sizes(shape_of(c.A0))}, and lr a number.")


EXERCISE = Exercise(
    title="LoRA+ where there is one learning rate",
    function="plain_run",
    difficulty=3,
    minutes=10,
    prompt=(
        "A run of LoRA+ began at `A0` and B = 0, with rate lr for A and ratio·lr for B. It is to be repeated in a "
        "trainer that has one learning rate for everything. The server merges with a fixed α, so α must stay too. All "
        "that you can set is where A begins. Write `plain_run(A0, lr, ratio)` that returns `A, lr`, with which plain "
        "LoRA makes the same ΔW at every step. (Adam without weight decay or clipping, its ε negligible.)"
    ),
    hints=(
        "Let A be p times, and B q times what it is in the LoRA+ run. What must pq be, if α and BA stay?",
        "pq = 1. Adam's steps do not feel the size of a gradient, so A needs p times its rate, and B q times its own.",
        "p·lr = q·ratio·lr and pq = 1, so p² = ratio.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
    observe=Values(("A", "lr")),
    measure=run,
)
