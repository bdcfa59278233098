"""Exercise: the least rank that keeps a share of the energy."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import torch

from lorabook.book.classroom.diagnosis import Mistake, diagnose
from lorabook.book.classroom.exercise import Exercise, WrongAnswer
from lorabook.book.classroom.known import with_spectrum
from lorabook.book.classroom.plain import Matrix, to_tensor
from lorabook.book.classroom.running import run


@dataclass(frozen=True)
class World:
    """A matrix, its singular values, and the share that must be kept."""

    m: Matrix
    sigma: tuple[float, ...]
    share: float


SPECTRA = (
    (6, 5, (5.0, 3.0, 2.0, 1.5, 1.0), 0.9),
    (5, 7, (4.0, 3.5, 3.0, 2.0, 1.0), 0.6),
    (6, 6, (6.0, 2.0, 1.8, 1.5, 1.2, 1.0), 0.75),
    (4, 5, (3.0, 1.0, 0.5, 0.25), 0.8),
)


def worlds() -> tuple[World, ...]:
    """Return cases in which every known mistake gives another rank at least once."""
    stream = random.Random(21)
    return tuple(
        World(with_spectrum(rows, columns, sigma, stream)[0], sigma, share) for rows, columns, sigma, share in SPECTRA
    )


def reached(weights: list[float], share: float) -> int:
    """Return how many of the weights, added in order, first reach this share of them all."""
    whole, so_far = sum(weights), 0.0
    for count, weight in enumerate(weights, start=1):
        so_far += weight
        if so_far >= share * whole - 1e-12:
            return count
    return len(weights)


def right(w: World) -> int:
    """Return the least r with Σ_{i≤r} σᵢ² ≥ share · Σ σᵢ²."""
    return reached([s**2 for s in w.sigma], w.share)


def _of(rule: Callable[[World], float]) -> Callable[[World], float]:
    return lambda w: float(rule(w))


NOT_SQUARED = (
    "You add the singular values themselves. Energy adds their squares: without squaring, you ask for too many."
)
ONE_SHORT = "You are one short: you return how many ranks do not reach the share. The one that reaches it comes next."
BOTH = "Two mistakes at once: the singular values are not squared, and the rank is one short."
NORM = "You measure the share of the norm ‖M‖, not of the energy ‖M‖². The square of the one is the other."
LOST = "You return how many directions may go. Asked is how many must stay."
SMALLEST = "You add from the smallest singular value upwards. The best rank keeps the largest."

MISTAKES = (
    Mistake(NOT_SQUARED, _of(lambda w: reached(list(w.sigma), w.share))),
    Mistake(ONE_SHORT, _of(lambda w: right(w) - 1)),
    Mistake(BOTH, _of(lambda w: reached(list(w.sigma), w.share) - 1)),
    Mistake(NORM, _of(lambda w: reached([s**2 for s in w.sigma], w.share**2))),
    Mistake(LOST, _of(lambda w: len(w.sigma) - right(w))),
    Mistake(SMALLEST, _of(lambda w: reached([s**2 for s in reversed(w.sigma)], w.share))),
)


def probe(answer: Callable) -> str | None:
    """Return what is wrong with an answer, or None."""
    results = [run(answer, to_tensor(w.m), w.share) for w in worlds()]
    return diagnose(worlds(), results, lambda w: float(right(w)), MISTAKES)


def _kept(m: torch.Tensor, power: int, from_the_least: bool = False) -> torch.Tensor:
    weights = torch.linalg.svdvals(m) ** power
    weights = weights.flip(0) if from_the_least else weights
    return weights.cumsum(0) / weights.sum()


BANK = (
    WrongAnswer(lambda m, share: (_kept(m, 1) < share).sum() + 1, NOT_SQUARED),
    WrongAnswer(lambda m, share: (_kept(m, 2) < share).sum(), ONE_SHORT),
    WrongAnswer(lambda m, share: (_kept(m, 1) < share).sum(), BOTH),
    WrongAnswer(lambda m, share: (_kept(m, 2).sqrt() < share).sum() + 1, NORM),
    WrongAnswer(lambda m, share: min(m.shape) - (_kept(m, 2) < share).sum() - 1, LOST),
    WrongAnswer(lambda m, share: (_kept(m, 2, from_the_least=True) < share).sum() + 1, SMALLEST),
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
        "least this share of the energy ‖m‖²."
    ),
    hints=(
        "Try it on a diagonal matrix with 2 and 1 on the diagonal. Its energy is 5. Which share does rank 1 keep?",
        "Energy adds the squares of the singular values. And if no rank below 3 reaches the share, which rank does?",
        "Square `sigma` first; then add 1 to the number of ranks that fall short.",
    ),
    probe=probe,
    bank=BANK,
)
