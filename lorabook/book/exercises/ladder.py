"""Exercise: which means of saving memory a training needs, tried in order: none, checkpointing, four bits, both."""

import random
from collections.abc import Callable
from dataclasses import asdict, dataclass

from lorabook.book.classroom.exercise import Exercise, Mistake

BITS = 4.127


@dataclass(frozen=True)
class Bill:
    """GiB: matrices in 16 bits, embedding and head, activations, activations with checkpointing, all else, the GPU."""

    linear: float
    other: float
    kept: float
    again: float
    rest: float
    gpu: float

    @property
    def given(self) -> dict[str, object]:
        return asdict(self)


def draw_cases(stream: random.Random) -> list[Bill]:
    """Return a case for each answer, and one in which `rest` decides; a common factor changes no answer."""
    cases = (
        (12, 0.5, 4, 1, 1, 24), (12, 0.6, 12, 1.5, 1, 24), (10, 0.5, 12, 2, 3, 24), (24, 1, 8, 1, 1, 24),
        (60, 2, 20, 3, 1.5, 24), (20, 6, 9, 8, 0.5, 18),
    )  # fmt: skip
    factors = [stream.randint(2, 40) / 8 for _ in cases]
    return [Bill(*(factor * size for size in case)) for case, factor in zip(cases, factors, strict=True)]


def _four_bits(c: Bill) -> float:
    return c.linear * BITS / 16 + c.other


def answer(
    c: Bill,
    order: tuple[int, ...] = (0, 1, 2, 3),
    weights: Callable[[Bill], float] = _four_bits,
    rest: Callable[[Bill], float] = lambda c: c.rest,
    none: int = 4,
    first: int = 0,
) -> int:
    """Return 0 for neither, 1 for checkpointing, 2 for four bits, 3 for both, 4 if that is not enough."""
    base, kept = (c.linear + c.other, weights(c)), (c.kept, c.again)
    fits = [base[step // 2] + kept[step % 2] + rest(c) <= c.gpu for step in range(4)]
    return first + next((step for step in order if fits[step]), none)


ORDER = "You try four bits before checkpointing. The order asked for is 0, 1, 2, 3."
WHOLE = "You quantise everything. Embedding and head (`other`) stay in 16 bits: four bits are for the matrices."
BYTES = "A weight of 16 bits becomes 4.127 bits: multiply by 4.127/16, not by 4.127/8."
REST = "You leave out `rest`: adapters, gradients, optimiser and logits are there whatever is saved."
LAST = "Where nothing fits you answer 3. With both it does not fit either: 4."
ONE = "You count from 1. 0 is LoRA without either."

MISTAKES = (
    Mistake("order", ORDER, {"order": (0, 2, 1, 3)}),
    Mistake("whole", WHOLE, {"weights": lambda c: (c.linear + c.other) * BITS / 16}),
    Mistake("bytes", BYTES, {"weights": lambda c: c.linear * BITS / 8 + c.other}),
    Mistake("rest", REST, {"rest": lambda c: 0.0}),
    Mistake("last", LAST, {"none": 3}),
    Mistake("one", ONE, {"first": 1}),
)

EXERCISE = Exercise(
    title="The first that fits",
    function="means_needed",
    difficulty=1,
    minutes=8,
    prompt=(
        "A pull request chooses what saves memory:\n\n```python\nneeds = [\n    linear + other + kept,\n"
        "    (linear + other) * 4.127 / 16 + kept,\n    linear + other + again,\n"
        "    (linear + other) * 4.127 / 16 + again,\n]\nreturn next(i for i, gib in enumerate(needs) if gib <= gpu)\n"
        "```\n\nIt quantises too much, forgets `rest`, tries in another order, and fails where nothing fits. Write "
        "`means_needed(linear, other, kept, again, rest, gpu)`, all in GiB: 0 if LoRA fits as it is, else 1 if it fits "
        "with checkpointing, else 2 with four bits, else 3 with both, else 4. `linear` are the matrices in 16 bits, "
        "`other` embedding and head, `kept` the activations, `again` what is left of them with checkpointing, `rest` "
        "all else. Four bits are 4.127 bits for a weight of a matrix."
    ),
    hints=(
        "Write the four sums down in the order asked for. Which weights does QLoRA quantise?",
        "Only `linear` is multiplied by 4.127/16. `rest` is in all four sums.",
        "`next((i for i, gib in enumerate(needs) if gib <= gpu), 4)`",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
)
