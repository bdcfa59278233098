"""Exercise: how many numbers LoRA trains in a model of 7 billion."""

from dataclasses import dataclass

from lorabook.book.classroom.diagnosis import Mistake, diagnose
from lorabook.book.classroom.exercise import Exercise, WrongAnswer
from lorabook.book.classroom.running import run


@dataclass(frozen=True)
class World:
    """The (d_out, d_in) of the adapted matrices of one layer, how many layers, and the rank."""

    shapes: tuple[tuple[int, int], ...]
    layers: int
    r: int


WORLDS = (
    World(((12, 5),), 1, 3),
    World(((7, 16), (9, 4)), 3, 2),
    World(((4096, 4096), (11008, 4096), (4096, 11008)), 32, 16),
)


def right(w: World) -> int:
    """Return layers · Σ r·(d_in + d_out). Source: Hu et al. 2021 (2106.09685), section 4.2."""
    return w.layers * sum(w.r * (d_out + d_in) for d_out, d_in in w.shapes)


DENSE = (
    "You count d_out·d_in: that is the whole ΔW, which full fine-tuning trains. LoRA stores two factors, r × d_in "
    "and d_out × r."
)
NO_B = "You count A (r × d_in) and forget B (d_out × r)."
NO_A = "You count B (d_out × r) and forget A (r × d_in)."
ONE_LAYER = "You count one layer. Multiply by the number of layers."
NO_RANK = "You count d_in + d_out: one row of A and one column of B. There are r of each."
SQUARE = "You count 2·r·d_in for each matrix, as if it were square. gate, up and down are not: d_in + d_out."
PRODUCT = "You multiply the sizes of A and B. They lie side by side: add them."
FIRST = "You count the first matrix of a layer only. Sum over all of them."
TOTAL = "You count W₀ too. It is frozen: only A and B train."

MISTAKES = (
    Mistake(DENSE, lambda w: w.layers * sum(o * i for o, i in w.shapes)),
    Mistake(NO_B, lambda w: w.layers * sum(w.r * i for o, i in w.shapes)),
    Mistake(NO_A, lambda w: w.layers * sum(w.r * o for o, i in w.shapes)),
    Mistake(ONE_LAYER, lambda w: sum(w.r * (o + i) for o, i in w.shapes)),
    Mistake(NO_RANK, lambda w: w.layers * sum(o + i for o, i in w.shapes)),
    Mistake(SQUARE, lambda w: w.layers * sum(2 * w.r * i for o, i in w.shapes)),
    Mistake(PRODUCT, lambda w: w.layers * sum(w.r * o * w.r * i for o, i in w.shapes)),
    Mistake(FIRST, lambda w: w.layers * w.r * sum(w.shapes[0])),
    Mistake(TOTAL, lambda w: w.layers * sum(o * i + w.r * (o + i) for o, i in w.shapes)),
)


def probe(answer: object) -> str | None:
    """Return what is wrong with an answer, or None."""
    results = [run(answer, list(w.shapes), w.layers, w.r) for w in WORLDS]
    return diagnose(WORLDS, results, right, MISTAKES)


BANK = (
    WrongAnswer(lambda shapes, layers, r: layers * sum(o * i for o, i in shapes), DENSE),
    WrongAnswer(lambda shapes, layers, r: layers * r * sum(i for o, i in shapes), NO_B),
    WrongAnswer(lambda shapes, layers, r: layers * r * sum(o for o, i in shapes), NO_A),
    WrongAnswer(lambda shapes, layers, r: r * sum(o + i for o, i in shapes), ONE_LAYER),
    WrongAnswer(lambda shapes, layers, r: layers * sum(map(sum, shapes)), NO_RANK),
    WrongAnswer(lambda shapes, layers, r: 2 * layers * r * sum(i for o, i in shapes), SQUARE),
    WrongAnswer(lambda shapes, layers, r: layers * sum((r * o) * (r * i) for o, i in shapes), PRODUCT),
    WrongAnswer(lambda shapes, layers, r: layers * r * sum(shapes[0]), FIRST),
    WrongAnswer(lambda shapes, layers, r: layers * sum(o * i + r * (o + i) for o, i in shapes), TOTAL),
)

EXERCISE = Exercise(
    title="Count what trains",
    function="how_many",
    difficulty=2,
    minutes=10,
    prompt=(
        "Write `how_many(shapes, layers, r)`: the number of trainable numbers of LoRA with rank r on a model with "
        "`layers` equal "
        "layers, where `shapes` lists the (d_out, d_in) of the adapted matrices of one layer. Then check three "
        "published "
        "figures for LLaMA-7B at r = 16 with it."
    ),
    hints=(
        "Draw A and B beside one W₀ and write the two sides of each on them.",
        "One matrix costs r·d_in for A and r·d_out for B.",
        "Sum r·(d_out + d_in) over the shapes, then multiply by `layers`.",
    ),
    probe=probe,
    bank=BANK,
)
