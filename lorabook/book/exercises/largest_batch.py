"""Exercise: how many texts fit on a card beside a frozen base and its adapters."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise, Mistake


@dataclass(frozen=True)
class Card:
    """A card, a model on it, and texts.

    Bytes of the card; numbers that are frozen and trained; bytes that a token keeps for backward; tokens.
    """

    card: int
    frozen: int
    trained: int
    kept: int
    vocab: int
    length: int

    @property
    def given(self) -> dict[str, object]:
        return {
            "card": self.card, "frozen": self.frozen, "trained": self.trained, "kept": self.kept, "vocab": self.vocab,
            "length": self.length,
        }  # fmt: skip


def draw_cases(stream: random.Random) -> list[Card]:
    """Return cards on which some texts fit, each known mistake another number of them, and one that is full."""

    def one(length: int, more: float) -> Card:
        frozen, trained = stream.randint(20, 30) * 10**5, stream.randint(8, 12) * 10**4
        kept, vocab = stream.randint(9, 14) * 100, stream.randint(10, 15) * 10
        room = (stream.randint(60, 90) + more) * length * (kept + 8 * vocab)
        return Card(int(2 * frozen + 16 * trained + room), frozen, trained, kept, vocab, length)

    cases = [one(stream.choice((64, 96, 128)), more) for more in (0.2, 0.5, 0.8)]
    full = one(64, 0.5)
    return [*cases, Card(2 * full.frozen - 1000, full.frozen, full.trained, full.kept, full.vocab, full.length)]


def answer(
    c: Card,
    of_frozen: int = 2,
    of_trained: int = 16,
    token: Callable[[Card], int] = lambda c: c.kept + 8 * c.vocab,
    tokens: Callable[[Card], int] = lambda c: c.length,
    whole: Callable[[int, int], float] = lambda room, price: room // price,
    least: Callable[[float], float] = lambda batch: max(0, batch),
) -> float:
    """Return ⌊(card − 2·frozen − 16·trained)/(length·(kept + 8·vocab))⌋, at least 0.

    Source: 1910.02054, section 3.1.
    """
    room = c.card - of_frozen * c.frozen - of_trained * c.trained
    return float(least(whole(room, tokens(c) * token(c))))


NO_FROZEN = "The base is missing: frozen is not absent, and takes 2 bytes a number."
SINGLE = "You count the base at 4 bytes a number. It is in 16 bits: 2."
ALL_TRAIN = "You count 16 bytes for the base's numbers too. They have no gradient and no moments: 2 bytes."
NO_WEIGHTS = "Of a trained number you count gradient and moments. Its weight is there as well: 4 + 4 + 8 = 16."
NO_MOMENTS = "Adam's two moments are missing: 4 + 4 bytes for each trained number."
NO_LOGITS = "The logits are missing: vocab numbers a token, in fp32, and as many for their gradient."
ONE_LOGIT = "You count the logits once. Their gradient takes as much: 4 + 4 bytes."
NO_LENGTH = "You count tokens. A text has `length` of them."
ABOVE = "You round up: the last of these texts does not fit."
NEAREST = "You round to the nearest number: half of the time the last text does not fit."
NEGATIVE = "Where the model alone does not fit you return a negative number of texts. It is 0."

MISTAKES = (
    Mistake("no-frozen", NO_FROZEN, {"of_frozen": 0}),
    Mistake("single", SINGLE, {"of_frozen": 4}),
    Mistake("all-train", ALL_TRAIN, {"of_frozen": 16}),
    Mistake("no-weights", NO_WEIGHTS, {"of_trained": 12}),
    Mistake("no-moments", NO_MOMENTS, {"of_trained": 8}),
    Mistake("no-logits", NO_LOGITS, {"token": lambda c: c.kept}),
    Mistake("one-logit", ONE_LOGIT, {"token": lambda c: c.kept + 4 * c.vocab}),
    Mistake("no-length", NO_LENGTH, {"tokens": lambda c: 1}),
    Mistake("above", ABOVE, {"whole": lambda room, price: -(-room // price)}, points=0.5),
    Mistake("nearest", NEAREST, {"whole": lambda room, price: round(room / price)}, points=0.5),
    Mistake("negative", NEGATIVE, {"least": lambda batch: batch}, points=0.5),
)

EXERCISE = Exercise(
    title="How many texts fit?",
    function="texts_that_fit",
    difficulty=2,
    minutes=10,
    prompt=(
        "A base of `frozen` numbers is on a card in 16 bits, and `trained` numbers of adapters train in fp32 under "
        "AdamW: weight, gradient, two moments. A token keeps `kept` bytes for backward. Its logits, `vocab` numbers in "
        "fp32, are there with their gradient. Write `texts_that_fit(card, frozen, trained, kept, vocab, length)`: how "
        "many whole texts of `length` tokens fit into `card` bytes; 0 if none does."
    ),
    hints=(
        "What is there before the first token? Two terms.",
        "The base takes 2·frozen, the adapters 16·trained. What does one token take?",
        "(card − 2·frozen − 16·trained) over length·(kept + 8·vocab), rounded down, and not below 0.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
)
