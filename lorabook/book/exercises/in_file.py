"""Exercise: how many numbers a VeRA file holds, with the frozen pair and without it."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise, Mistake

Shapes = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class File:
    """The (d_out, d_in) of the adapted matrices of one layer, how many layers, the rank, and what is saved."""

    shapes: Shapes
    layers: int
    r: int
    with_pair: bool

    @property
    def given(self) -> dict[str, object]:
        return {"shapes": list(self.shapes), "layers": self.layers, "r": self.r, "with_pair": self.with_pair}


LLAMA_7B = ((4096, 4096), (4096, 4096), (4096, 4096), (4096, 4096), (11008, 4096), (11008, 4096), (4096, 11008))


def draw_cases(stream: random.Random) -> list[File]:
    """Return small models, in which the tallest matrix, the widest and the largest are three, and LLaMA-7B."""
    tall, wide, small = stream.randint(50, 60), stream.randint(40, 49), stream.randint(5, 9)
    shapes = ((small + 10, small), (tall, small + 1), (small + 2, wide), (30, 32))
    r = stream.randint(2, 6)
    return [
        File(shapes, stream.randint(2, 5), r, True),
        File(shapes[:3], stream.randint(2, 5), r + 1, False),
        File(LLAMA_7B, 32, 256, True),
        File(LLAMA_7B[:2], 32, stream.choice((64, 1024)), False),
    ]


def _each(c: File) -> int:
    return c.layers * sum(d_out + c.r for d_out, _ in c.shapes)


def _pair(c: File) -> int:
    return c.r * (max(d_out for d_out, _ in c.shapes) + max(d_in for _, d_in in c.shapes))


def answer(
    c: File,
    vectors: Callable[[File], int] = _each,
    pair: Callable[[File], int] = _pair,
    saved: Callable[[File], bool] = lambda c: c.with_pair,
) -> int:
    """Return layers · Σ(d_out + r), and with the pair r(max d_out + max d_in) more. Source: 2310.11454, section 3.2."""
    return vectors(c) + (pair(c) if saved(c) else 0)


LORA = (
    "You count r·(d_out + d_in) for each matrix: that is LoRA, with a pair of its own for each. VeRA has two vectors."
)
WIDTH = "You give d as many entries as the matrix has inputs. It has r: it stands between A and B."
NO_D = "You count b (d_out) and forget d (r)."
NO_B = "You count d (r) and forget b (d_out)."
ONE_LAYER = "You count the vectors of one layer. Multiply by the number of layers."
EACH = "You count a pair for every matrix. There is one for the whole model."
EACH_LAYER = "You count a pair for every layer. There is one for the whole model."
FIRST = "You size the pair by the first matrix. It must do for the largest of all."
LARGEST = (
    "You size the pair by the matrix with the most entries. A needs the most inputs of any matrix, B the most outputs, "
    "and these may be two matrices."
)
ALWAYS = "You count the pair always. It is in the file only where `with_pair` says so."
NEVER = "You never count the pair. It is in the file where `with_pair` says so."

MISTAKES = (
    Mistake(
        "lora",
        LORA,
        {"vectors": lambda c: c.layers * sum(c.r * (o + i) for o, i in c.shapes), "saved": lambda c: False},
    ),
    Mistake("width", WIDTH, {"vectors": lambda c: c.layers * sum(o + i for o, i in c.shapes)}),
    Mistake("no-d", NO_D, {"vectors": lambda c: c.layers * sum(o for o, _ in c.shapes)}),
    Mistake("no-b", NO_B, {"vectors": lambda c: c.layers * c.r * len(c.shapes)}),
    Mistake("one-layer", ONE_LAYER, {"vectors": lambda c: _each(c) // c.layers}, points=0.5),
    Mistake("each", EACH, {"pair": lambda c: c.layers * sum(c.r * (o + i) for o, i in c.shapes)}),
    Mistake("each-layer", EACH_LAYER, {"pair": lambda c: c.layers * _pair(c)}),
    Mistake("first", FIRST, {"pair": lambda c: c.r * sum(c.shapes[0])}, points=0.5),
    Mistake("largest", LARGEST, {"pair": lambda c: c.r * sum(max(c.shapes, key=lambda s: s[0] * s[1]))}, points=0.5),
    Mistake("always", ALWAYS, {"saved": lambda c: True}),
    Mistake("never", NEVER, {"saved": lambda c: False}),
)

EXERCISE = Exercise(
    title="What a VeRA file weighs",
    function="count_in_file",
    difficulty=2,
    minutes=10,
    prompt=(
        "Someone wants ten thousand VeRA adapters of one model on a disk. Write `count_in_file(shapes, layers, r, "
        "with_pair)`: how many numbers the file of one adapter holds. The model has `layers` equal layers, and "
        "`shapes` lists the (d_out, d_in) of the adapted matrices of one layer. If `with_pair`, the frozen pair is "
        "saved too, as PEFT does unless told otherwise; it is as small as the largest matrices allow."
    ),
    hints=(
        "Per matrix: how many entries has b, and how many has d?",
        "How many pairs are there in the whole model, and how many columns and rows must they have?",
        "A is r × (most d_in of any matrix), B is (most d_out of any matrix) × r. Add them once.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
)
