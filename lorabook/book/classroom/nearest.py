"""Exercise: quantise one block of weights with a given set of codes."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from lorabook.book.classroom.diagnosis import Mistake, diagnose
from lorabook.book.classroom.exercise import Exercise, WrongAnswer
from lorabook.book.classroom.plain import to_tensor
from lorabook.book.classroom.running import run

CODES = (-1.0, -0.6, -0.35, -0.15, 0.0, 0.1, 0.25, 0.55, 1.0)
"""Uneven, with an exact zero, as NF4; but not NF4, so that a table learnt by heart does not help."""


@dataclass(frozen=True)
class World:
    """A block of weights."""

    w: tuple[float, ...]


def worlds() -> tuple[World, ...]:
    """Return three blocks; in each the largest size belongs to a negative weight, which `max` alone would miss."""
    stream = random.Random(22)
    return tuple(World((*(stream.gauss(0, s) for _ in range(9)), -5 * s)) for s in (0.02, 1.0, 3.0))


def quantised(w: World, scale: float, pick: Callable[[float], float]) -> list[float]:
    """Return scale·pick(w/scale) for every weight."""
    return [scale * pick(x / scale) for x in w.w]


def closest(x: float) -> float:
    """Return the code nearest to x."""
    return min(CODES, key=lambda code: abs(code - x))


def absmax(w: World) -> float:
    """Return the largest size in the block."""
    return max(abs(x) for x in w.w)


def right(w: World) -> list[float]:
    """Return absmax·(nearest code to w/absmax). Source: Dettmers et al. 2023 (2305.14314), section 2."""
    return quantised(w, absmax(w), closest)


def _below(x: float) -> float:
    return max((code for code in CODES if code <= x), default=CODES[0])


def _spread(w: World) -> float:
    mean = sum(w.w) / len(w.w)
    return (sum((x - mean) ** 2 for x in w.w) / (len(w.w) - 1)) ** 0.5


SIGNED = "You scale by the largest weight. The largest *size* is meant, and that may be a negative weight: max |w|."
SEVENTHS = "You round w/s with s = absmax/7: that is 4-bit integers, evenly spaced. The codes given here are not."
NOT_BACK = "You return codes between −1 and 1. Multiply by the block's scale: Ŵ must be comparable with W."
FLOOR = "You take the next code *below*. The nearest one may lie above; searching a sorted table alone does not round."
UNSCALED = "You look for the nearest code without dividing by the scale: codes live on [−1, 1], weights do not."
SPREAD = "You scale by the standard deviation. Large weights then fall outside [−1, 1]; absmax makes the largest ±1."
INDEX = "You return the number of the code. That is what is *stored*; asked is what it stands for, scale included."

MISTAKES = (
    Mistake(SIGNED, lambda w: quantised(w, max(w.w), closest)),
    Mistake(SEVENTHS, lambda w: [absmax(w) / 7 * round(x / absmax(w) * 7) for x in w.w]),
    Mistake(NOT_BACK, lambda w: [closest(x / absmax(w)) for x in w.w]),
    Mistake(FLOOR, lambda w: quantised(w, absmax(w), _below)),
    Mistake(UNSCALED, lambda w: [closest(x) for x in w.w]),
    Mistake(SPREAD, lambda w: quantised(w, _spread(w), closest)),
    Mistake(INDEX, lambda w: [float(CODES.index(closest(x / absmax(w)))) for x in w.w]),
)


def probe(answer: Callable) -> str | None:
    """Return what is wrong with an answer, or None."""
    cases = worlds()
    results = [run(answer, to_tensor([list(w.w)])[0], to_tensor([list(CODES)])[0]) for w in cases]
    return diagnose(cases, results, right, MISTAKES)


def _answer(scale: Callable, back: Callable) -> Callable:
    """Return an answer that looks for the nearest code of w/scale(w), and gives back(code, scale)."""

    def answer(w: Tensor, codes: Tensor) -> Tensor:
        s = scale(w)
        return back(codes[(w[:, None] / s - codes).abs().argmin(1)], s)

    return answer


def _floor(w: Tensor, codes: Tensor) -> Tensor:
    s = w.abs().max()
    place = (w[:, None] / s >= codes - 1e-12).sum(1) - 1
    return codes[place] * s


BANK = (
    WrongAnswer(_answer(lambda w: w.max(), lambda c, s: c * s), SIGNED),
    WrongAnswer(lambda w, codes: (w / (w.abs().max() / 7)).round() * w.abs().max() / 7, SEVENTHS),
    WrongAnswer(_answer(lambda w: w.abs().max(), lambda c, s: c), NOT_BACK),
    WrongAnswer(_floor, FLOOR),
    WrongAnswer(_answer(lambda w: 1.0, lambda c, s: c), UNSCALED),
    WrongAnswer(_answer(lambda w: w.std(), lambda c, s: c * s), SPREAD),
    WrongAnswer(lambda w, codes: (w[:, None] / w.abs().max() - codes).abs().argmin(1).double(), INDEX),
)

EXERCISE = Exercise(
    title="Quantise a block",
    function="quantise",
    difficulty=3,
    minutes=12,
    prompt=(
        "Write `quantise(w, codes)`: `w` is one block of weights (n), `codes` a table of numbers on [−1, 1]. "
        "Return what "
        "the block reads like after storage: every weight replaced by the block's scale times its nearest code."
    ),
    hints=(
        "Which number makes the largest weight of the block, of either sign, land exactly on ±1?",
        "All distances at once: `(w[:, None] / scale - codes).abs()` has a row for each weight.",
        "`codes[distances.argmin(1)]` picks the nearest; multiply it by the scale again.",
    ),
    probe=probe,
    bank=BANK,
)
