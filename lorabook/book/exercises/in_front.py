"""Exercise: one head of causal attention with n trained keys and values in front: who may look at whom."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise, Mistake
from lorabook.book.classroom.plain import Array, Matrix, draw, times

Seen = Callable[[int, int, int, int], bool]
"""Whether position i of L looks at place j of the n in front and the L behind them."""


@dataclass(frozen=True)
class Head:
    """Queries, keys and values of L positions, and a prefix of n."""

    q: Matrix
    k: Matrix
    v: Matrix
    P_k: Matrix
    P_v: Matrix

    @property
    def given(self) -> dict[str, object]:
        return {name: Array(getattr(self, name)) for name in ("q", "k", "v", "P_k", "P_v")}


def draw_cases(stream: random.Random) -> list[Head]:
    """Return three heads: few positions and a long prefix, the reverse, and values narrower than keys."""
    shapes = ((3, 5, 4, 4), (stream.randint(5, 6), 2, 3, 3), (4, 3, 5, 2))
    return [
        Head(
            *([[3 * x for x in row] for row in draw(length, d, stream)] for _ in "qk"), draw(length, d_v, stream),
            [[3 * x for x in row] for row in draw(n, d, stream)], draw(n, d_v, stream),
        )
        for length, n, d, d_v in shapes
    ]  # fmt: skip


def causal(i: int, j: int, n: int, length: int) -> bool:
    """Return whether j is in the prefix, or a position not behind i."""
    return j <= i + n


def answer(
    c: Head,
    sees: Seen = causal,
    divide: Callable[[int, int], float] = lambda d, n: d**0.5,
    together: Callable[[list[float], int], list[float]] = lambda e, n: [x / sum(e) for x in e],
) -> Matrix:
    """Return softmax(q·[P_k; K]ᵀ/√d + mask)·[P_v; V]. Source: 2101.00190, section 4."""
    keys, values = c.P_k + c.k, c.P_v + c.v
    n, length, d = len(c.P_k), len(c.q), len(c.q[0])
    rows = []
    for i, query in enumerate(c.q):
        scores = [sum(a * b for a, b in zip(query, key, strict=True)) / divide(d, n) for key in keys]
        open_ = [math.exp(s) if sees(i, j, n, length) else 0.0 for j, s in enumerate(scores)]
        weights = together(open_, n)
        rows += times([weights], values)
    return rows


def _apart(e: list[float], n: int) -> list[float]:
    return [x / (sum(part) or 1.0) for part in (e[:n], e[n:]) for x in part]


def _text_alone(e: list[float], n: int) -> list[float]:
    return [0.0] * n + [x / (sum(e[n:]) or 1.0) for x in e[n:]]


SHIFTED = (
    "That is the pull request: `tril()` counts from the first key, which is the prefix's. Position i must see all n of "
    "the prefix, and itself: the diagonal moves by n."
)
BLIND = "Your positions see the whole text, also what comes after them. Behind the prefix the mask is causal."
LATE = "Your positions do not see themselves. Position i sees the prefix and positions 0 … i."
ALONE = "Your code adds two results, one softmax over the text and one over the prefix. It is one softmax over both."
WITHOUT = "The prefix does nothing in your code: you return the attention over the text alone."
SCALE = "Your scores are not divided by √d."
BY_D = "Your scores are divided by d. Divide by √d."
LONGER = "You divide by √(d + n). The prefix adds keys, not entries of a key: √d."

MISTAKES = (
    Mistake("shifted", SHIFTED, {"sees": lambda i, j, n, length: j <= i}),
    Mistake("blind", BLIND, {"sees": lambda i, j, n, length: True}),
    Mistake("late", LATE, {"sees": lambda i, j, n, length: j < i + n}),
    Mistake("apart", ALONE, {"together": _apart}),
    Mistake("without", WITHOUT, {"together": _text_alone}),
    Mistake("no-scale", SCALE, {"divide": lambda d, n: 1.0}),
    Mistake("by-d", BY_D, {"divide": lambda d, n: float(d)}),
    Mistake("longer", LONGER, {"divide": lambda d, n: (d + n) ** 0.5}),
)

EXERCISE = Exercise(
    title="A prefix in front",
    function="with_prefix",
    difficulty=2,
    minutes=6,
    prompt=(
        "A pull request brings prefix tuning to one head:\n\n```python\n"
        "k, v = torch.cat([P_k, k]), torch.cat([P_v, v])\n"
        "scores = q @ k.T / q.shape[1] ** 0.5\n"
        "sees = torch.ones(len(q), len(k)).tril().bool()\n"
        "return scores.masked_fill(~sees, -torch.inf).softmax(1) @ v\n```\n\n"
        "It trains, and learns little. Write `with_prefix(q, k, v, P_k, P_v)` for q and k of L × d, v of L × d_v, and "
        "a prefix P_k of n × d and P_v of n × d_v. Every position sees the whole prefix, itself and what came before."
    ),
    hints=(
        "Write down `sees` for L = 2 and n = 3. What does the first position see?",
        "The first position is row 0, and its own key stands in column n.",
        "`.tril(len(P_k))`",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
)
