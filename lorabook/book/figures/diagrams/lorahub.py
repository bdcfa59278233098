"""LoRAHub: adapters stay frozen, only a weight for each is searched; factors are summed, so cross terms come in."""

import torch

import lorabook as lb
from lorabook.book.figures.blocks import Scale, pair
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.layers import RANK, adapt, moved
from lorabook.book.figures.page import BOTTOM, MIDDLE, TOP, beside_lora
from lorabook.many.hub import product_of_sums
from lorabook.many.pair import Pair

N, CELL = 3, 50
SCALE = Scale(rank=0.95, d_out=0.95, d_in=1.4, gap=8.4)


def pairs() -> list[Pair]:
    """Return three adapters of one layer."""
    update = moved(adapt(lb.LoRA(r=RANK))).update
    a, b = update.A.detach(), update.B.detach()
    return [Pair(a.roll(i, 1), b.roll(i, 0), update.s) for i in range(N)]


def crosses(adapters: list[Pair]) -> list[tuple[int, int]]:
    """Return the (i, j) whose term B_iA_j is in the composed ΔW: composed of one B and one A, is it there?"""
    terms = []
    for i in range(N):
        for j in range(N):
            one_b = [p if k == i else p._replace(B=torch.zeros_like(p.B)) for k, p in enumerate(adapters)]
            one_each = [p if k == j else p._replace(A=torch.zeros_like(p.A)) for k, p in enumerate(one_b)]
            composed = product_of_sums(one_each, [1.0] * N)
            if (composed.B @ composed.A).any():
                terms.append((i, j))
    return terms


def draw() -> Drawing:
    adapters = pairs()
    rank = len(product_of_sums(adapters, [1.0] * N).A)
    drawing = beside_lora(
        "LoRAHub: mix frozen adapters by searched weights; factors are summed",
        "ΔW = s·(Σ_{i} w_{i}B_{i})(Σ_{j} w_{j}A_{j}): rank r, with cross terms w_{i}w_{j}B_{i}A_{j}",
        f"Searches {N} numbers without gradients on a few examples; the rank stays {rank}.",
    )
    x, step = MIDDLE + 26, 62
    middle = (TOP + BOTTOM) / 2 + 8
    drawing.heading(x + 92, TOP + 14, "adapters of other tasks", anchor="middle")
    for i, adapter in enumerate(adapters):
        y = middle + step * (i - (N - 1) / 2)
        drawing.rect(x, y - 14, 34, 28, "trainable")
        drawing.text(x + 17, y + 5, f"w_{{{i + 1}}}", size=14, role="on-trainable", bold=True)
        drawing.text(x + 50, y + 5, "·", size=18)
        pair(drawing, adapter.B.shape, adapter.A.shape, x + 66, y, SCALE, "frozen")
        drawing.note(x + 88 + SCALE.d_in * adapter.A.shape[1] / 2, y + 22, f"B_{{{i + 1}}}, A_{{{i + 1}}}")
    drawing.arrow((x + 190, middle), (x + 232, middle))
    left, top = x + 256, middle - CELL * N / 2
    drawing.heading(left + CELL * N / 2, TOP + 14, "the terms of ΔW", anchor="middle")
    terms = crosses(adapters)
    for i in range(N):
        for j in range(N):
            own = i == j
            if (i, j) in terms:
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
