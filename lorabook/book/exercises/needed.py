"""Exercise: the least rank that keeps a share of the energy."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise, Mistake
from lorabook.book.classroom.known import falling, with_spectrum
from lorabook.book.classroom.plain import Array, Matrix


@dataclass(frozen=True)
class Spectrum:
    """A matrix, its singular values, and the share that must be kept."""

    m: Matrix
    sigma: tuple[float, ...]
    share: float

    @property
    def given(self) -> dict[str, object]:
        return {"m": Array(self.m), "share": self.share}


CASES, MARGIN = 12, 0.005


def draw_cases(stream: random.Random) -> list[Spectrum]:
    """Return matrices of many shapes; a rank is a small number, and few of them would leave much to chance."""
    return [_case(stream) for _ in range(CASES)]


def _case(stream: random.Random) -> Spectrum:
    """Return a case in which no sum of any known mistake comes so near to the share that rounding would decide."""
    rows, columns = stream.randint(4, 7), stream.randint(4, 7)
    while True:
        sigma, share = falling(min(rows, columns), stream), stream.randint(40, 95) / 100
        sums = [x for power in (1, 2) for x in (*_sums(sigma, power), *_sums(sigma[::-1], power))]
        if all(abs(x - goal) > MARGIN for x in sums for goal in (share, share**2)):
            return Spectrum(with_spectrum(rows, columns, sigma, stream)[0], sigma, share)


def _sums(sigma: Sequence[float], power: int) -> list[float]:
    """Return which share of Σσ^power the first 1, 2, … keep."""
    whole = sum(s**power for s in sigma)
    return [sum(s**power for s in sigma[: i + 1]) / whole for i in range(len(sigma))]


def _strongest_first(sigma: Sequence[float]) -> Sequence[float]:
    return sigma


def answer(
    c: Spectrum,
    power: int = 2,
    goal: Callable[[float], float] = lambda share: share,
    order: Callable[[Sequence[float]], Sequence[float]] = _strongest_first,
    counted: Callable[[int, int], int] = lambda rank, of: rank,
) -> float:
    """Return the least r with Σ_{i≤r} σᵢ² ≥ share · Σ σᵢ²."""
    sums = _sums(order(c.sigma), power)
    return float(counted(1 + sum(x < goal(c.share) for x in sums), len(sums)))


NOT_SQUARED = (
    "You add the singular values themselves. Energy adds their squares: without squaring, you ask for too many."
)
ONE_SHORT = "You are one short: you return how many ranks do not reach the share. The one that reaches it comes next."
NORM = "You measure the share of the norm ‖M‖, not of the energy ‖M‖². The square of the one is the other."
LOST = "You return how many directions may go. Asked is how many must stay."
SMALLEST = "You add from the smallest singular value upwards. The best rank keeps the largest."
ONE_LONG = "You are one too high: the rank that you return reaches the share, and so does the one below it."
FULL = (
    "You return the full rank of every matrix: that keeps all of the energy. Asked is the least that keeps the share."
)
ONE = (
    "You return 1 for every matrix. The sums must be divided by the whole energy before they are compared with a share."
)

MISTAKES = (
    Mistake("not-squared", NOT_SQUARED, {"power": 1}),
    Mistake("one-short", ONE_SHORT, {"counted": lambda rank, of: rank - 1}, points=0.5),
    Mistake("one-long", ONE_LONG, {"counted": lambda rank, of: rank + 1}, points=0.5),
    Mistake("norm", NORM, {"goal": lambda share: share**2}),
    Mistake("lost", LOST, {"counted": lambda rank, of: of - rank}),
    Mistake("full", FULL, {"counted": lambda rank, of: of}),
    Mistake("one", ONE, {"counted": lambda rank, of: 1}),
    Mistake("smallest", SMALLEST, {"order": lambda sigma: sigma[::-1]}),
)

EXERCISE = Exercise(
    title="How much rank is needed?",
    function="rank_needed",
    difficulty=2,
    minutes=8,
    prompt=(
        "A pull request says\n\n```python\nsigma = torch.linalg.svdvals(m)\n"
        "return (sigma.cumsum(0) / sigma.sum() < share).sum()\n```\n\n"
        "Two things are wrong with it. Write `rank_needed(m, share)`: the least rank whose best approximation keeps at "
        "least this share, between 0 and 1, of the energy ‖m‖²."
    ),
    hints=(
        "Try it on a diagonal matrix with 2 and 1 on the diagonal. Its energy is 5. Which share does rank 1 keep?",
        "Energy adds the squares of the singular values. And if no rank below 3 reaches the share, which rank does?",
        "Square `sigma` first; then add 1 to the number of ranks that fall short.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
)
