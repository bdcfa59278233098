"""Exercise: merge an adapter whose file may say use_rslora, W = W₀ + s·BA with the s it was trained with."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise, Mistake
from lorabook.book.classroom.plain import Array, Matrix, draw, plus, scaled, times


@dataclass(frozen=True)
class Adapter:
    """A frozen matrix, an adapter for it, and what the adapter's file says."""

    w0: Matrix
    A: Matrix
    B: Matrix
    alpha: float
    r: int
    use_rslora: bool

    @property
    def given(self) -> dict[str, object]:
        arrays = {name: Array(value) for name, value in (("w0", self.w0), ("A", self.A), ("B", self.B))}
        return {**arrays, "alpha": self.alpha, "r": self.r, "use_rslora": self.use_rslora}


def draw_cases(stream: random.Random) -> list[Adapter]:
    """Return two adapters trained under α/√r and two under α/r; α is never r, √r or 1, and r never 1."""
    shapes = ((4, 3, 3, 7.0), (stream.randint(5, 7), 4, 2, 5.0), (3, stream.randint(5, 7), 2, 9.0), (4, 5, 3, 8.0))
    return [
        Adapter(draw(d_out, d_in, stream), draw(r, d_in, stream), draw(d_out, r, stream), alpha, r, i % 2 == 0)
        for i, (d_out, d_in, r, alpha) in enumerate(shapes)
    ]


def answer(
    c: Adapter,
    root: Callable[[float, int], float] = lambda alpha, r: alpha / r**0.5,
    plain: Callable[[float, int], float] = lambda alpha, r: alpha / r,
    base: float = 1.0,
    times_s: int = 1,
) -> Matrix:
    """Return W₀ + s·BA with s = α/√r where the flag is set, and else α/r. Source: 2312.03732, definition 3.1."""
    s = (root if c.use_rslora else plain)(c.alpha, c.r)
    return plus(scaled(base, c.w0), scaled(s**times_s, times(c.B, c.A)))


PULLED = "That is the pull request: with the flag it divides α/r by √r once more, so s = α/r^1.5. α/√r is √r times α/r."
IGNORED = (
    "You merge every adapter with α/r. One that was trained with use_rslora then weighs √r times too little, and no "
    "error is raised."
)
ALWAYS = "You merge every adapter with α/√r. One that was trained without the flag then weighs √r times too much."
CROSSED = "The two cases are exchanged: the flag means α/√r, no flag means α/r."
ROOT_OF_BOTH = "With the flag you take √(α/r). The root is over r alone: α/√r."
UNDIVIDED = "With the flag you take α√r. That is the α to write down for a reader that divides by r; divide it by r."
NO_BASE = "You return s·BA alone. Merged means W₀ + s·BA."
TWICE = "You multiply by s twice."

MISTAKES = (
    Mistake("pulled", PULLED, {"root": lambda alpha, r: alpha / r**1.5}),
    Mistake("ignored", IGNORED, {"root": lambda alpha, r: alpha / r}),
    Mistake("always", ALWAYS, {"plain": lambda alpha, r: alpha / r**0.5}),
    Mistake("exchanged", CROSSED, {"root": lambda alpha, r: alpha / r, "plain": lambda alpha, r: alpha / r**0.5}),
    Mistake("root-of-both", ROOT_OF_BOTH, {"root": lambda alpha, r: (alpha / r) ** 0.5}),
    Mistake("undivided", UNDIVIDED, {"root": lambda alpha, r: alpha * r**0.5}),
    Mistake("no-base", NO_BASE, {"base": 0.0}, points=0.5),
    Mistake("twice", TWICE, {"times_s": 2}),
)

EXERCISE = Exercise(
    title="Merge what was trained with use_rslora",
    function="merged",
    difficulty=1,
    minutes=5,
    prompt=(
        "A server learns to read PEFT's `use_rslora`. The pull request says\n\n```python\ns = alpha / r\n"
        "if use_rslora:\n    s = s / r**0.5\nreturn w0 + s * (B @ A)\n```\n\nIts test has r = 1. Write "
        "`merged(w0, A, B, alpha, r, use_rslora)` so that every adapter is merged with the scale that it was trained "
        "with: w0 is d_out × d_in, A is r × d_in, B is d_out × r."
    ),
    hints=(
        "Write down s for α = 16 and r = 64, with and without the flag. Which is larger?",
        "With the flag s is α/√r. By what must α/r be multiplied to become that?",
        "s = α/r; with the flag s · √r.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
)
