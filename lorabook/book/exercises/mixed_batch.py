"""Exercise: a batch in which every row has an adapter of its own, out of factors that are filled up to one rank."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise, Mistake
from lorabook.book.classroom.plain import Array, Matrix, draw, plus, scaled, times, turned


@dataclass(frozen=True)
class Mixed:
    """A batch, a base, adapters whose A and B are filled up with zeros, their own ranks, and whose row is whose."""

    x: Matrix
    w0: Matrix
    A: list[Matrix]
    B: list[Matrix]
    alpha: float
    ranks: list[int]
    which: list[int]

    @property
    def given(self) -> dict[str, object]:
        arrays = {name: Array(getattr(self, name)) for name in ("x", "w0", "A", "B")}
        return {**arrays, "alpha": self.alpha, "ranks": self.ranks, "which": self.which}


def draw_cases(stream: random.Random) -> list[Mixed]:
    """Return batches in which one adapter has two rows, another none, and no two have one rank."""
    return [_case(3, 3, 4.0, stream), _case(4, stream.randint(5, 6), 3.0, stream), _case(5, 4, 6.0, stream)]


def _case(d_out: int, d_in: int, alpha: float, stream: random.Random) -> Mixed:
    ranks = stream.sample((1, 2, 3), 3)
    a = [draw(r, d_in, stream) + [[0.0] * d_in] * (3 - r) for r in ranks]
    b = [[row + [0.0] * (3 - r) for row in draw(d_out, r, stream)] for r in ranks]
    one, two = stream.sample(range(3), 2)
    return Mixed(draw(3, d_in, stream), draw(d_out, d_in, stream), a, b, alpha, ranks, [one, two, one])


def answer(
    c: Mixed,
    whose: Callable[[Mixed, int], Iterable[int]] = lambda c, n: [c.which[n]],
    scale: Callable[[Mixed, int], float] = lambda c, k: c.alpha / c.ranks[k],
    base: float = 1.0,
) -> Matrix:
    """Return y_n = W₀x_n + (α/r_k)·B_kA_kx_n with k = which[n]. Source: Sheng et al. 2023 (2311.03285), section 3."""
    y = scaled(base, times(c.x, turned(c.w0)))
    for n, x in enumerate(c.x):
        for k in whose(c, n):
            change = times(times([x], turned(c.A[k])), turned(c.B[k]))
            y[n] = plus([y[n]], scaled(scale(c, k), change))[0]
    return y


EVERYONE = "Every row gets the sum of all adapters. Row n belongs to one customer: adapter `which[n]` and no other."
PRESENT = "Every row gets the sum of the adapters in the batch. Row n belongs to one customer: adapter `which[n]`."
PADDED = (
    "You divide α by the width that the factors were filled up to. The zeros change no product, but this changes the "
    "scale: divide by the adapter's own rank, `ranks[k]`."
)
ORDER = "Row n gets adapter n. Which adapter it asked for stands in `which[n]`."
FIRST = "All rows get the adapter of the first. Fetch A and B row by row: `A[which]` has one for each."
NO_SCALE = "The scale is missing: α over the adapter's own rank."
ROOT = "You divide by √r, as rsLoRA does. These are plain LoRAs: α/r."
UNDIVIDED = "You multiply by α and forget to divide by the adapter's own rank."
NO_BASE = "The base is missing: every row has W₀x as well, in one product for all."
MISTAKES = (
    Mistake("everyone", EVERYONE, {"whose": lambda c, n: range(len(c.A))}),
    Mistake("present", PRESENT, {"whose": lambda c, n: set(c.which)}),
    Mistake("order", ORDER, {"whose": lambda c, n: [n]}),
    Mistake("first", FIRST, {"whose": lambda c, n: [c.which[0]]}),
    Mistake("padded", PADDED, {"scale": lambda c, k: c.alpha / len(c.A[k])}, points=0.5),
    Mistake("no-scale", NO_SCALE, {"scale": lambda c, k: 1.0}, points=0.5),
    Mistake("undivided", UNDIVIDED, {"scale": lambda c, k: c.alpha}, points=0.5),
    Mistake("root", ROOT, {"scale": lambda c, k: c.alpha / c.ranks[k] ** 0.5}, points=0.5),
    Mistake("no-base", NO_BASE, {"base": 0.0}, points=0.5),
)

EXERCISE = Exercise(
    title="Repair the mixed batch",
    function="mixed_rows",
    difficulty=2,
    minutes=5,
    prompt=(
        "A server keeps k adapters of unequal ranks in two tensors, filled up with zeros: A is k × r_max × d_in, B is "
        "k × d_out × r_max. Row n of x asked for adapter `which[n]`. A pull request says\n\n```python\n"
        "s = alpha / A.shape[1]\nreturn x @ w0.T + s * sum(x @ a.T @ b.T for a, b in zip(A, B))\n```\n\n"
        "Two things are wrong with it. Write `mixed_rows(x, w0, A, B, alpha, ranks, which)`; `ranks` has the adapters' "
        "own ranks, and s = α/r."
    ),
    hints=(
        "Two customers share a batch. Whose adapters does each of them get from the pull request?",
        "`A[which]` has one A for each row. And which r made the scale when the adapter was trained?",
        "`h = torch.einsum('nd,nrd->nr', x, A[which])`, then `B[which]` in the same way; row n times alpha over "
        "`ranks[which[n]]`.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
)
