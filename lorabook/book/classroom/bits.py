"""Exercise: how many bits a weight takes, constants included."""

from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.diagnosis import Mistake, diagnose
from lorabook.book.classroom.exercise import Exercise, WrongAnswer
from lorabook.book.classroom.running import run


@dataclass(frozen=True)
class World:
    """Weights that share one constant, and constants that share one constant of their own."""

    block: int
    group: int


WORLDS = (World(64, 256), World(32, 128), World(128, 64))


def right(w: World) -> float:
    """Return 4 + 8/block + 32/(block·group). Source: Dettmers et al. 2023 (2305.14314), section 3."""
    return 4 + 8 / w.block + 32 / (w.block * w.group)


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

MISTAKES = (
    Mistake(BARE, lambda w: 4.0),
    Mistake(SINGLE, lambda w: 4 + 32 / w.block),
    Mistake(NO_GROUP, lambda w: 4 + 8 / w.block),
    Mistake(PER_GROUP, lambda w: 4 + 8 / w.block + 32 / w.group),
    Mistake(BOTH_WIDE, lambda w: 4 + 32 / w.block + 32 / (w.block * w.group)),
    Mistake(BYTES, lambda w: right(w) / 8),
    Mistake(ADDED, lambda w: 4 + 40 / w.block),
)


def probe(answer: Callable) -> str | None:
    """Return what is wrong with an answer, or None."""
    results = [run(answer, w.block, w.group) for w in WORLDS]
    return diagnose(WORLDS, results, right, MISTAKES)


BANK = (
    WrongAnswer(lambda block, group: 4, BARE),
    WrongAnswer(lambda block, group: 4 + 32 / block, SINGLE),
    WrongAnswer(lambda block, group: 4 + 8 / block, NO_GROUP),
    WrongAnswer(lambda block, group: 4 + 8 / block + 32 / group, PER_GROUP),
    WrongAnswer(lambda block, group: 4 + (32 + 32 / group) / block, BOTH_WIDE),
    WrongAnswer(lambda block, group: (4 + (8 + 32 / group) / block) / 8, BYTES),
    WrongAnswer(lambda block, group: 4 + (8 + 32) / block, ADDED),
)

EXERCISE = Exercise(
    title="Count the bits",
    function="bits_per_weight",
    difficulty=2,
    minutes=8,
    prompt=(
        "Write `bits_per_weight(block, group)`: the bits that one weight takes when it has a 4-bit code, `block` "
        "weights "
        "share one 8-bit constant, and `group` of those constants share one 32-bit constant. Then find the block "
        "size at "
        "which a 70B model no longer fits into 35.5 GB."
    ),
    hints=(
        "Take one group as a whole. How many weights does it hold, and how many bits are kept for them in all?",
        "A group holds block·group weights: that many codes, `group` constants of 8 bits, and one of 32.",
        "Divide by the number of weights: 4 + 8/block + 32/(block·group).",
    ),
    probe=probe,
    bank=BANK,
)
