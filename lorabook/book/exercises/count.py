"""Exercise: how many numbers LoRA trains in a model of 7 billion."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise, Mistake

Shapes = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Layers:
    """The (d_out, d_in) of the adapted matrices of one layer, how many layers, and the rank."""

    shapes: Shapes
    layers: int
    r: int

    @property
    def given(self) -> dict[str, object]:
        return {"shapes": list(self.shapes), "layers": self.layers, "r": self.r}


LLAMA_7B = ((4096, 4096), (11008, 4096), (4096, 11008))


def draw_cases(stream: random.Random) -> list[Layers]:
    """Return one matrix, a few, and the shapes of LLaMA-7B; no small matrix is square."""
    shapes = [tuple(stream.sample(range(4, 30), 2)) for _ in range(4)]
    r = stream.randint(2, 6)
    return [
        Layers(tuple(shapes[:1]), 1, r),
        Layers(tuple(shapes[1:]), stream.randint(2, 5), r + 1),
        Layers(LLAMA_7B, 32, stream.choice((4, 8, 16))),
    ]


def _a_and_b(d_out: int, d_in: int, r: int) -> int:
    return r * (d_out + d_in)


def answer(
    c: Layers,
    each: Callable[[int, int, int], int] = _a_and_b,
    layers: Callable[[Layers], int] = lambda c: c.layers,
    shapes: Callable[[Layers], Shapes] = lambda c: c.shapes,
) -> int:
    """Return layers · Σ r·(d_in + d_out). Source: Hu et al. 2021 (2106.09685), section 4.2."""
    return layers(c) * sum(each(d_out, d_in, c.r) for d_out, d_in in shapes(c))


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
RANK_SQUARED = "You multiply by r twice. A is r × d_in and B is d_out × r: each has r once."

MISTAKES = (
    Mistake("dense", DENSE, {"each": lambda o, i, r: o * i}),
    Mistake("no-b", NO_B, {"each": lambda o, i, r: r * i}),
    Mistake("no-a", NO_A, {"each": lambda o, i, r: r * o}),
    Mistake("no-rank", NO_RANK, {"each": lambda o, i, r: o + i}),
    Mistake("square", SQUARE, {"each": lambda o, i, r: 2 * r * i}),
    Mistake("product", PRODUCT, {"each": lambda o, i, r: r * o * r * i}),
    Mistake("rank-squared", RANK_SQUARED, {"each": lambda o, i, r: r * r * (o + i)}),
    Mistake("total", TOTAL, {"each": lambda o, i, r: o * i + r * (o + i)}),
    Mistake("one-layer", ONE_LAYER, {"layers": lambda c: 1}, points=0.5),
    Mistake("first", FIRST, {"shapes": lambda c: c.shapes[:1]}, points=0.5),
)

EXERCISE = Exercise(
    title="Count what trains",
    function="how_many",
    difficulty=2,
    minutes=10,
    prompt=(
        "Write `how_many(shapes, layers, r)`: the number of trainable numbers of LoRA with rank r on a model with "
        "`layers` equal layers, where `shapes` lists the (d_out, d_in) of the adapted matrices of one layer."
    ),
    hints=(
        "Draw A and B beside one W₀ and write the two sides of each on them.",
        "One matrix costs r·d_in for A and r·d_out for B.",
        "Sum r·(d_out + d_in) over the shapes, then multiply by `layers`.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
)
