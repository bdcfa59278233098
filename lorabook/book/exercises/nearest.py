"""Exercise: quantise one block of weights with a given set of codes."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import pstdev, stdev

from lorabook.book.classroom.exercise import Exercise, Mistake
from lorabook.book.classroom.plain import Array


@dataclass(frozen=True)
class Block:
    """A block of weights, and sorted codes on [−1, 1]: uneven and with an exact zero, as NF4, but never NF4."""

    w: tuple[float, ...]
    codes: tuple[float, ...]

    @property
    def given(self) -> dict[str, object]:
        return {"w": Array(list(self.w)), "codes": Array(list(self.codes))}


MARGIN = 1e-4


def draw_cases(stream: random.Random) -> list[Block]:
    """Return four blocks of any scale; in two of them the largest size is negative, which `max` alone would miss."""
    return [_case(size, sign, stream) for size, sign in ((0.02, -1), (1.0, 1), (3.0, -1), (0.5, 1))]


def _case(size: float, sign: int, stream: random.Random) -> Block:
    """Return a block in which no weight lies so near to a border of two codes that rounding would decide."""
    while True:
        inner = stream.sample(range(8, 93, 6), 6)
        codes = (-1.0, *sorted([-x / 100 for x in inner[:3]]), 0.0, *sorted(x / 100 for x in inner[3:]), 1.0)
        w = [stream.gauss(0, size) for _ in range(8)]
        w.insert(stream.randrange(9), sign * stream.uniform(1.5, 2.5) * max(map(abs, w)))
        middles = [(a + b) / 2 for a, b in zip(codes, codes[1:], strict=False)]
        borders = [(scale, middles) for scale in SCALES]
        borders.append((absmax, [*codes, *((k + 0.5) / 7 for k in range(-7, 7))]))
        gaps = [abs(x / scale(w) - border) for scale, at in borders for x in w if abs(x) != scale(w) for border in at]
        if min(gaps) > MARGIN:
            return Block(tuple(w), codes)


def absmax(w: Sequence[float]) -> float:
    """Return the largest size in the block."""
    return max(abs(x) for x in w)


SCALES = (absmax, max, stdev, pstdev, lambda w: sum(map(abs, w)) / len(w), lambda w: 1.0)


def closest(x: float, codes: Sequence[float]) -> float:
    """Return the code nearest to x."""
    return min(codes, key=lambda code: abs(code - x))


def _below(x: float, codes: Sequence[float]) -> float:
    return max((code for code in codes if code <= x), default=codes[0])


def _sevenths(x: float, codes: Sequence[float]) -> float:
    return round(7 * x) / 7


def answer(
    c: Block,
    scale: Callable[[Sequence[float]], float] = absmax,
    pick: Callable[[float, Sequence[float]], float] = closest,
    back: Callable[[float, float, Sequence[float]], float] = lambda code, s, codes: s * code,
) -> list[float]:
    """Return absmax·(nearest code to w/absmax). Source: Dettmers et al. 2023 (2305.14314), section 2."""
    s = scale(c.w)
    return [float(back(pick(x / s, c.codes), s, c.codes)) for x in c.w]


SIGNED = "You scale by the largest weight. The largest size is meant, and that may be a negative weight: max |w|."
SEVENTHS = "You round w/s with s = absmax/7: that is 4-bit integers, evenly spaced. The codes given here are not."
NOT_BACK = "You return codes between −1 and 1. Multiply by the block's scale: Ŵ must be comparable with W."
FLOOR = "You take the next code below. The nearest one may lie above; searching a sorted table alone does not round."
UNSCALED = "You look for the nearest code without dividing by the scale: codes live on [−1, 1], weights do not."
SPREAD = "You scale by the standard deviation. Large weights then fall outside [−1, 1]; absmax makes the largest ±1."
INDEX = "You return the number of the code. That is what is stored; asked is what it stands for, scale included."
MEAN = "You scale by the mean size. Large weights then fall outside [−1, 1]; absmax makes the largest ±1."

MISTAKES = (
    Mistake("signed", SIGNED, {"scale": max}),
    Mistake("sevenths", SEVENTHS, {"pick": _sevenths}),
    Mistake("not-back", NOT_BACK, {"back": lambda code, s, codes: code}, points=0.5),
    Mistake("index", INDEX, {"back": lambda code, s, codes: codes.index(code) if code in codes else code}),
    Mistake("floor", FLOOR, {"pick": _below}),
    Mistake("unscaled", UNSCALED, {"scale": lambda w: 1.0}),
    Mistake("spread", SPREAD, {"scale": stdev}),
    Mistake("spread-of-all", SPREAD, {"scale": pstdev}),
    Mistake("mean", MEAN, {"scale": lambda w: sum(map(abs, w)) / len(w)}),
)

EXERCISE = Exercise(
    title="Repair the rounding",
    function="quantise",
    difficulty=2,
    minutes=5,
    prompt=(
        "A pull request says\n\n```python\ns = w.max()\n"
        "place = (torch.searchsorted(codes, w / s, right=True) - 1).clamp_min(0)\nreturn s * codes[place]\n```\n\n"
        "Ŵ is off by more than it should be, in two ways. Write `quantise(w, codes)`: `w` is one block of weights (n), "
        "`codes` a sorted table of numbers from −1 to 1. Return the block as it is read back: every weight replaced by "
        "the block's absmax times the code nearest to it."
    ),
    hints=(
        "Which number makes the largest weight of the block, of either sign, land exactly on ±1?",
        "All distances at once: `(w[:, None] / scale - codes).abs()` has a row for each weight.",
        "`codes[distances.argmin(1)]` picks the nearest; multiply it by the scale again.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
)
