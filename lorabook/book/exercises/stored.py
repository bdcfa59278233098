"""Exercise: merge into a weight that its layer may store transposed, as GPT-2's Conv1D does."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise, Mistake
from lorabook.book.classroom.plain import Array, Matrix, draw, plus, scaled, shape_of, times, turned


@dataclass(frozen=True)
class Stored:
    """A weight as its layer stores it, an adapter for it, and whether it is stored d_in × d_out."""

    weight: Matrix
    A: Matrix
    B: Matrix
    alpha: float
    r: int
    fan_in_fan_out: bool

    @property
    def given(self) -> dict[str, object]:
        arrays = {name: Array(value) for name, value in (("weight", self.weight), ("A", self.A), ("B", self.B))}
        return {**arrays, "alpha": self.alpha, "r": self.r, "fan_in_fan_out": self.fan_in_fan_out}


def draw_cases(stream: random.Random) -> list[Stored]:
    """Return each way to store, once for a square matrix and once for another; α is none of r, r² and 1."""
    shapes = ((stream.randint(5, 7), 4, 2, 5.0), (3, stream.randint(5, 7), 2, 7.0), (4, 4, 3, 7.0), (5, 5, 2, 9.0))
    cases = []
    for i, (d_out, d_in, r, alpha) in enumerate(shapes):
        across = i in (1, 2)
        weight = draw(d_in, d_out, stream) if across else draw(d_out, d_in, stream)
        cases.append(Stored(weight, draw(r, d_in, stream), draw(d_out, r, stream), alpha, r, across))
    return cases


def _right_way(c: Stored, delta: Matrix) -> Matrix:
    return turned(delta) if c.fan_in_fan_out else delta


def answer(
    c: Stored,
    laid: Callable[[Stored, Matrix], Matrix] = _right_way,
    s: Callable[[Stored], float] = lambda c: c.alpha / c.r,
    base: float = 1.0,
    end: Callable[[Stored, Matrix], Matrix] = lambda c, merged: merged,
) -> Matrix | None:
    """Return W₀ + s·BA, stored as W₀ came. Source: GPT-2's Conv1D; PEFT's `fan_in_fan_out`."""
    delta = laid(c, scaled(s(c), times(c.B, c.A)))
    if shape_of(delta) != shape_of(c.weight):
        return None
    return end(c, plus(scaled(base, c.weight), delta))


def _guessed(c: Stored, delta: Matrix) -> Matrix:
    return delta if shape_of(delta) == shape_of(c.weight) else turned(delta)


def _doubly(c: Stored, merged: Matrix) -> Matrix:
    return turned(merged) if c.fan_in_fan_out else merged


GUESSED = (
    "That is the pull request: it guesses from the shapes. A square matrix has the same shape either way, so GPT-2's "
    "c_proj would get ΔW where ΔWᵀ belongs, without an error."
)
IGNORED = "You add ΔW as d_out × d_in everywhere. Where fan_in_fan_out is set, the layer stores d_in × d_out: add ΔWᵀ."
REVERSED = "The flag is read the wrong way round: ΔW is transposed where fan_in_fan_out is set, and only there."
ALWAYS = "You add ΔWᵀ everywhere. A Linear stores d_out × d_in, as BA is."
TURNED = "What you return is transposed where fan_in_fan_out is set. The layer wants its weight as it stores it."
UNDIVIDED = "Your scale is α. It is α/r."
SQUARED = "You divide by r twice, or multiply by α/r twice."
NO_SCALE = "The scale α/r is missing."
NO_BASE = "You return ΔW alone. Merged means W₀ + ΔW."

MISTAKES = (
    Mistake("guessed", GUESSED, {"laid": _guessed}),
    Mistake("ignored", IGNORED, {"laid": lambda c, delta: delta}),
    Mistake("reversed", REVERSED, {"laid": lambda c, delta: delta if c.fan_in_fan_out else turned(delta)}),
    Mistake("always", ALWAYS, {"laid": lambda c, delta: turned(delta)}),
    Mistake("turned", TURNED, {"end": _doubly}, points=0.5),
    Mistake("undivided", UNDIVIDED, {"s": lambda c: c.alpha}),
    Mistake("squared", SQUARED, {"s": lambda c: c.alpha / c.r**2}),
    Mistake("no-scale", NO_SCALE, {"s": lambda c: 1.0}),
    Mistake("no-base", NO_BASE, {"base": 0.0}, points=0.5),
)

EXERCISE = Exercise(
    title="Merge into a weight that is stored the other way",
    function="merge_into",
    difficulty=1,
    minutes=5,
    prompt=(
        "GPT-2 stores its weights d_in × d_out and computes xW. PEFT calls that `fan_in_fan_out`. A pull request "
        "merges into both kinds of layer:\n\n```python\ndelta = alpha / r * (B @ A)\nif delta.shape != weight.shape:\n"
        "    delta = delta.T\nreturn weight + delta\n```\n\nIts test has d_out = 6, d_in = 4, and passes. Write "
        "`merge_into(weight, A, B, alpha, r, fan_in_fan_out)` that returns the merged weight, stored as it came: A is "
        "r × d_in, B is d_out × r, in both kinds of layer."
    ),
    hints=(
        "The attention's output projection of GPT-2 is 768 × 768. What does the pull request do with it?",
        "The shapes cannot tell. What can?",
        "delta = α/r · BA; where fan_in_fan_out is set, its transpose; then weight + delta.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
)
