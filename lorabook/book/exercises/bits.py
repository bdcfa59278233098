"""Exercise: how many bits a weight takes, constants included."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise, Mistake


@dataclass(frozen=True)
class Blocks:
    """Weights that share one constant, and constants that share one constant of their own."""

    block: int
    group: int

    @property
    def given(self) -> dict[str, object]:
        return {"block": self.block, "group": self.group}


def draw_cases(stream: random.Random) -> list[Blocks]:
    """Return three pairs of sizes, the two of a pair different."""
    sizes = (12, 16, 24, 32, 48, 64, 96, 128)
    return [Blocks(*stream.sample(sizes, 2)) for _ in range(3)]


def _weights_of_a_group(c: Blocks) -> int:
    return c.block * c.group


def answer(
    c: Blocks,
    codes: float = 4,
    first: float = 8,
    second: float = 32,
    shared: Callable[[Blocks], int] = _weights_of_a_group,
    unit: float = 1,
) -> float:
    """Return 4 + 8/block + 32/(block·group). Source: Dettmers et al. 2023 (2305.14314), section 3."""
    return (codes + first / c.block + second / shared(c)) / unit


BARE = "You count the codes alone. Every block also keeps a constant, and constants take room."
SINGLE = (
    "That is NF4 without double quantisation: one float32 constant for every block. Here the constants take 8 bits, "
    "and a group of them shares one float32."
)
NO_GROUP = "You forget the float32 that a group of constants shares: 32 bits for block·group weights."
PER_GROUP = (
    "You spread the second constant over `group` weights. A group holds `group` constants, so block·group weights."
)
BOTH_WIDE = "Your first constants still take 32 bits. Quantised, they take 8; only the second ones stay float32."
BYTES = "You return bytes. Bits, please: 8 times as many."
ADDED = "You divide 8 + 32 bits by the block: every block pays 8, but only every group pays 32."
NO_CODES = "You count the constants alone. Every weight has a code of 4 bits besides."

MISTAKES = (
    Mistake("bare", BARE, {"first": 0, "second": 0}),
    Mistake("single", SINGLE, {"first": 32, "second": 0}),
    Mistake("no-group", NO_GROUP, {"second": 0}),
    Mistake("per-group", PER_GROUP, {"shared": lambda c: c.group}),
    Mistake("both-wide", BOTH_WIDE, {"first": 32}),
    Mistake("added", ADDED, {"shared": lambda c: c.block}),
    Mistake("bytes", BYTES, {"unit": 8}, points=0.5),
    Mistake("no-codes", NO_CODES, {"codes": 0}),
)

EXERCISE = Exercise(
    title="Count the bits",
    function="bits_per_weight",
    difficulty=2,
    minutes=8,
    prompt=(
        "Write `bits_per_weight(block, group)`: the bits that one weight takes when it has a 4-bit code, `block` "
        "weights share one 8-bit constant, and `group` of those constants share one 32-bit constant."
    ),
    hints=(
        "Take one group as a whole. How many weights does it hold, and how many bits are kept for them in all?",
        "A group holds block·group weights: that many codes, `group` constants of 8 bits, and one of 32.",
        "Divide by the number of weights: 4 + 8/block + 32/(block·group).",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
)
