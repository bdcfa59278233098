"""LoRAHub: adapters stay frozen, only a weight for each is searched; factors are summed, so cross terms come in."""

import torch

import lorabook as lb
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.page import BOTTOM, MIDDLE, RANK, TOP, adapt, beside_lora, moved
from lorabook.many.hub import product_of_sums
from lorabook.many.pair import Pair

N, UNIT, CELL = 3, 0.95, 50


def pairs() -> list[Pair]:
    """Return three adapters of one layer."""
    update = moved(adapt(lb.LoRA(r=RANK))).update
    a, b = update.A.detach(), update.B.detach()
    return [Pair(a.roll(i, 1), b.roll(i, 0), update.s) for i in range(N)]


def crosses(found: list[Pair]) -> list[tuple[int, int]]:
    """Return the (i, j) whose term B_iA_j is in the composed ΔW, found by composing with two adapters at a time."""
    seen = []
    for i in range(N):
        for j in range(N):
            b = [pair._replace(B=torch.zeros_like(pair.B)) if k != i else pair for k, pair in enumerate(found)]
            only = [pair._replace(A=torch.zeros_like(pair.A)) if k != j else pair for k, pair in enumerate(b)]
            made = product_of_sums(only, [1.0] * N)
            if (made.B @ made.A).any():
                seen.append((i, j))
    return seen


def draw() -> Drawing:
    found = pairs()
    made = product_of_sums(found, [1.0] * N)
    drawing = beside_lora(
        "LoRAHub: mix frozen adapters by searched weights; factors are summed",
        "ΔW = s·(Σ_{i} w_{i}B_{i})(Σ_{j} w_{j}A_{j}): rank r, with cross terms w_{i}w_{j}B_{i}A_{j}",
        f"Searches {N} numbers without gradients on a few examples; the rank stays {len(made.A)}.",
    )
    x, step = MIDDLE + 26, 62
    middle = (TOP + BOTTOM) / 2 + 8
    drawing.heading(x + 92, TOP + 14, "adapters of other tasks", anchor="middle")
    for i, pair in enumerate(found):
        y = middle + step * (i - (N - 1) / 2)
        drawing.rect(x, y - 14, 34, 28, "trainable")
        drawing.text(x + 17, y + 5, f"w_{{{i + 1}}}", size=14, role="on-trainable", bold=True)
        drawing.text(x + 50, y + 5, "·", size=18)
        (tall, r), wide = pair.B.shape, pair.A.shape[1]
        drawing.rect(x + 66, y - UNIT * tall / 2, UNIT * r, UNIT * tall, "frozen")
        drawing.rect(x + 82, y - UNIT * r / 2, 1.4 * wide, UNIT * r, "frozen")
        drawing.note(x + 88 + 1.4 * wide / 2, y + 22, f"B_{{{i + 1}}}, A_{{{i + 1}}}")
    drawing.arrow((x + 190, middle), (x + 232, middle))
    left, top = x + 256, middle - CELL * N / 2
    drawing.heading(left + CELL * N / 2, TOP + 14, "the terms of ΔW", anchor="middle")
    there = crosses(found)
    for i in range(N):
        for j in range(N):
            own = i == j
            if (i, j) in there:
                drawing.rect(left + CELL * j, top + CELL * i, CELL - 3, CELL - 3, "frozen" if own else "grid")
                drawing.text(
                    left + CELL * (j + 0.5) - 1.5,
                    top + CELL * (i + 0.5) + 4,
                    f"B_{{{i + 1}}}A_{{{j + 1}}}",
                    size=13,
                    role="on-frozen" if own else "text",
                    bold=own,
                )
    drawing.text(left + CELL * N + 8, middle - 12, "bold: trained", size=12, anchor="start")
    drawing.text(left + CELL * N + 8, middle + 12, "others: met by", size=12, anchor="start")
    drawing.text(left + CELL * N + 8, middle + 28, "no training", size=12, anchor="start")
    return drawing
