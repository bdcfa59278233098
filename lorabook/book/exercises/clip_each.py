"""Exercise: one round's private mean, (Σᵢ clip(Δᵢ, C) + σC·z)/L."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise, Mistake
from lorabook.book.classroom.plain import Array, Matrix

Vector = list[float]


@dataclass(frozen=True)
class Round:
    """What the clients of a round sent, a row each; standard normal numbers; and how private the round shall be."""

    changes: Matrix
    z: Vector
    C: float
    sigma: float
    L: float

    @property
    def given(self) -> dict[str, object]:
        return {"changes": Array(self.changes), "z": Array(self.z), "C": self.C, "sigma": self.sigma, "L": self.L}


def draw_cases(stream: random.Random) -> list[Round]:
    """Return rounds with loud and with quiet clients: more came than expected, fewer, and one alone."""
    shapes = ((5, 4, 0.9, 0.7, 4.0), (2, 6, 1.3, 1.6, 5.0), (1, 3, 0.4, 2.5, 3.0), (4, 4, 0.7, 0.4, 6.0))
    return [_case(*shape, stream) for shape in shapes]


def _case(n: int, p: int, C: float, sigma: float, L: float, stream: random.Random) -> Round:
    sizes = [3.0 * C if i % 2 == 0 else 0.5 * C for i in range(n)]
    directions = [_numbers(p, stream) for _ in range(n)]
    changes = [[size * x / norm(row) for x in row] for size, row in zip(sizes, directions, strict=True)]
    return Round(changes, _numbers(p, stream), C, sigma, L)


def _numbers(count: int, stream: random.Random) -> Vector:
    return [stream.choice((-1, 1)) * stream.randint(30, 160) / 100 for _ in range(count)]


def norm(row: Vector) -> float:
    """Return ‖row‖."""
    return math.sqrt(sum(x * x for x in row))


def clip(row: Vector, C: float) -> Vector:
    """Return the row, shortened to norm C if it is longer."""
    factor = min(1.0, C / norm(row))
    return [factor * x for x in row]


def each(changes: Matrix, C: float) -> Vector:
    """Return Σᵢ clip(Δᵢ, C)."""
    return total([clip(row, C) for row in changes])


def total(rows: Matrix) -> Vector:
    """Return the sum of the rows."""
    return [sum(column) for column in zip(*rows, strict=True)]


def _of_the_sum(changes: Matrix, C: float) -> Vector:
    return clip(total(changes), C)


def _of_the_mean(changes: Matrix, C: float) -> Vector:
    mean = [x / len(changes) for x in total(changes)]
    return [len(changes) * x for x in clip(mean, C)]


def _entries(changes: Matrix, C: float) -> Vector:
    return total([[max(-C, min(C, x)) for x in row] for row in changes])


def _to_norm(changes: Matrix, C: float) -> Vector:
    return total([[C / norm(row) * x for x in row] for row in changes])


def answer(
    c: Round,
    bound: Callable[[Matrix, float], Vector] = each,
    deviation: Callable[[Round], float] = lambda c: c.sigma * c.C,
    share: Callable[[Round], float] = lambda c: c.L,
    place: Callable[[float], float] = lambda share: 1 / share,
) -> Vector:
    """Return (Σᵢ clip(Δᵢ, C) + σC·z)/L. Source: McMahan et al. 2018 (1710.06963), algorithm 1."""
    signal, noise = bound(c.changes, c.C), deviation(c) * place(share(c))
    return [x / share(c) + noise * z for x, z in zip(signal, c.z, strict=True)]


OF_THE_MEAN = (
    "You clip the mean of all changes. One loud client decides where it points: with it and without it the clipped "
    "means can be 2C apart. Clip each client's row, then add."
)
OF_THE_SUM = "You clip the sum. Clip each client's row first: only then does one client move the sum by at most C."
ENTRIES = "You clip every entry to ±C. A row of P entries then has a norm of up to √P·C. Clip its norm."
TO_NORM = "You scale every row to norm C, the short ones up. Clipping only shortens: the factor is min(1, C/‖Δ‖)."
NO_CLIP = "Nothing is clipped. One client can move the mean as far as it likes, and no σ hides that."
WHO_CAME = (
    "You divide by the number of clients that came. It tells who came, and in a small round one client weighs more. "
    "Divide by L, which was fixed before."
)
NO_C = "Your noise has deviation σ. σ is in units of C: the noise on the sum has σC."
LATE = "You add the noise after the division, so that it is L times too large. Add it to the sum, then divide."
NO_NOISE = "There is no noise: the mean with a client and the mean without it are two numbers that can be told apart."
MISTAKES = (
    Mistake("mean-clipped", OF_THE_MEAN, {"bound": _of_the_mean}),
    Mistake("sum-clipped", OF_THE_SUM, {"bound": _of_the_sum}),
    Mistake("entries", ENTRIES, {"bound": _entries}),
    Mistake("to-norm", TO_NORM, {"bound": _to_norm}, points=0.5),
    Mistake("no-clip", NO_CLIP, {"bound": lambda changes, C: total(changes)}),
    Mistake("who-came", WHO_CAME, {"share": lambda c: len(c.changes)}),
    Mistake("no-c", NO_C, {"deviation": lambda c: c.sigma}),
    Mistake("no-noise", NO_NOISE, {"deviation": lambda c: 0.0}),
    Mistake("late", LATE, {"place": lambda share: 1.0}),
)

EXERCISE = Exercise(
    title="Repair the round",
    function="private_round",
    difficulty=2,
    minutes=5,
    prompt=(
        "A pull request says `total = changes.sum(0)`, then `total = total * min(1, C / total.norm())`, then "
        "`return (total + sigma * C * z) / len(changes)`, and calls it private. Two things are wrong. Write "
        "`private_round(changes, z, C, sigma, L)`: the server's private mean. "
        "`changes` is n × P, a row for each client that came; `z` holds P standard normal numbers; L clients were "
        "expected."
    ),
    hints=(
        "Ten quiet clients, and one that sends a row a million times as long: where does the clipped sum point?",
        "Clip each row: `changes * (C / changes.norm(dim=1, keepdim=True)).clamp(max=1)`.",
        "Sum the clipped rows, add `sigma * C * z`, and divide by L, not by n.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
)
