"""Exercise: was this client in the round? The log-likelihood ratio of an attacker who knows all the others."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise, Mistake
from lorabook.book.classroom.plain import Array, Matrix

Vector = list[float]


@dataclass(frozen=True)
class Suspicion:
    """A round's private mean, what the suspect's text would send, what the others sent, and how private it was."""

    mean: Vector
    change: Vector
    others: Matrix
    C: float
    sigma: float
    L: float

    @property
    def given(self) -> dict[str, object]:
        arrays = {"mean": self.mean, "change": self.change, "others": self.others}
        numbers = {"C": self.C, "sigma": self.sigma, "L": self.L}
        return {**{name: Array(value) for name, value in arrays.items()}, **numbers}


def draw_cases(stream: random.Random) -> list[Suspicion]:
    """Return a loud suspect, a quiet one whose change is shorter than C, and one who was not in the round."""
    return [_case(2.5, 3, 1.0, stream), _case(0.6, 2, 1.0, stream), _case(3.0, 4, 0.0, stream)]


def _case(size: float, n: int, was_in: float, stream: random.Random) -> Suspicion:
    p, C, sigma, L = 4, stream.choice((0.7, 1.3)), stream.choice((0.6, 1.6)), stream.choice((5.0, 6.0))
    change = _of_norm(size * C, p, stream)
    others = [_of_norm((2.0 if i % 2 == 0 else 0.5) * C, p, stream) for i in range(n)]
    noise = [sigma * C * x for x in _numbers(p, stream)]
    parts = [*(clip(row, C) for row in others), [was_in * x for x in clip(change, C)], noise]
    return Suspicion([sum(column) / L for column in zip(*parts, strict=True)], change, others, C, sigma, L)


def _numbers(count: int, stream: random.Random) -> Vector:
    return [stream.choice((-1, 1)) * stream.randint(30, 160) / 100 for _ in range(count)]


def _of_norm(size: float, p: int, stream: random.Random) -> Vector:
    row = _numbers(p, stream)
    return [size * x / norm(row) for x in row]


def norm(row: Vector) -> float:
    """Return ‖row‖."""
    return math.sqrt(sum(x * x for x in row))


def clip(row: Vector, C: float) -> Vector:
    """Return the row, shortened to norm C if it is longer."""
    factor = min(1.0, C / norm(row))
    return [factor * x for x in row]


def answer(
    c: Suspicion,
    sent: Callable[[Vector, float], Vector] = clip,
    of_others: Callable[[Vector, float], Vector] = clip,
    total: Callable[[Suspicion], float] = lambda c: c.L,
    half: Callable[[Vector, float], float] = lambda v, C: norm(v) ** 2 / 2,
    variance: Callable[[Suspicion], float] = lambda c: (c.sigma * c.C) ** 2,
    known: float = 1.0,
) -> float:
    """Return (⟨y, v⟩ − ‖v‖²/2)/(σC)²: y is L·mean without the others, v = clip(change, C)."""
    v = sent(c.change, c.C)
    taken = [sum(column) for column in zip(*(of_others(row, c.C) for row in c.others), strict=True)]
    y = [total(c) * x - known * other for x, other in zip(c.mean, taken, strict=True)]
    return (sum(a * b for a, b in zip(y, v, strict=True)) - half(v, c.C)) / variance(c)


NOT_CLIPPED = "The suspect's change was clipped before it was added. Compare with clip(change, C)."
OTHERS_NOT_CLIPPED = "The others were clipped too. Take their clipped rows out of the sum."
MEAN = "You take the others out of the mean as it is. Their rows are in the sum: multiply the mean by L first."
WHO_CAME = "You multiply by the number of clients. The server divided by L, so multiply by L."
NO_HALF = (
    "You leave out ‖v‖²/2. Without it the evidence is not 0 halfway between “in” and “out”: ‖y‖² − ‖y − v‖² has it."
)
ALWAYS_C = "You subtract C²/2. A change shorter than C is not clipped and has its own norm: subtract ‖v‖²/2."
NO_SQUARE = "You divide by σC. The logarithm of a Gaussian has its variance below: (σC)²."
NO_C = "The noise on the sum has deviation σC, and not σ."
NO_OTHERS = "You leave the others in the sum. What you know of them you can take out."
MISTAKES = (
    Mistake("not-clipped", NOT_CLIPPED, {"sent": lambda row, C: row}),
    Mistake("others-not-clipped", OTHERS_NOT_CLIPPED, {"of_others": lambda row, C: row}),
    Mistake("mean", MEAN, {"total": lambda c: 1.0}),
    Mistake("who-came", WHO_CAME, {"total": lambda c: len(c.others) + 1.0}),
    Mistake("no-half", NO_HALF, {"half": lambda v, C: 0.0}, points=0.5),
    Mistake("always-c", ALWAYS_C, {"half": lambda v, C: C * C / 2}, points=0.5),
    Mistake("no-square", NO_SQUARE, {"variance": lambda c: c.sigma * c.C}),
    Mistake("no-c", NO_C, {"variance": lambda c: c.sigma**2}),
    Mistake("no-others", NO_OTHERS, {"known": 0.0}),
)

EXERCISE = Exercise(
    title="Be the attacker",
    function="evidence",
    difficulty=3,
    minutes=10,
    prompt=(
        "You saw a round's `mean` (P numbers), know the changes of all `others` (n × P), and have a suspect's text, "
        "so you can compute the `change` it would send. The server clipped each to C, added noise of deviation σC to "
        "the sum, and divided by L. Write `evidence(mean, change, others, C, sigma, L)`: ln of p(mean, if the suspect "
        "was in) over p(mean, if not). Positive says: was in. For independent Gaussian noise, "
        "ln p(y) = −‖y − centre‖²/(2·variance) + a constant."
    ),
    hints=(
        "Undo what you can: multiply by L, take out the others' clipped rows. What is left is noise, and perhaps v.",
        "If the suspect was in, what is left is centred at v = clip(change, C); if not, at 0.",
        "(‖y‖² − ‖y − v‖²) / (2·(σC)²) = (y·v − ‖v‖²/2) / (σC)².",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
)
