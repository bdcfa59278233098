"""LoKr: one small block, copied over the whole matrix, each copy with a factor of its own."""

import torch

import lorabook as lb
from lorabook.book.figures.blocks import Box, by
from lorabook.book.figures.cells import heat
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.layers import adapt, moved
from lorabook.book.figures.page import BOTTOM, RIGHT, TOP, beside_lora, trains

SMALL = (12, 16)
"""The layer that is drawn entry by entry."""
CELL, LARGE = 13, 13.5


def draw() -> Drawing:
    update = moved(adapt(lb.LoKr(r=1), *SMALL)).update
    c, d = update.C.detach(), update.right().detach()
    layer = adapt(lb.LoKr(r=2))
    drawing = beside_lora(
        "LoKr: a grid of copies of one small block, each times an entry of C",
        "ΔW = s · C ⊗ D, D = BA: rank(ΔW) = rank(C) · rank(D)",
        trains(layer) + f" C is {by(layer.update.C)}, BA {by(layer.update.B @ layer.update.A)}.",
    )
    middle, product = (TOP + BOTTOM) / 2, torch.kron(c, d)
    box_c = heat(drawing, c, 244, middle - CELL * len(c) / 2, CELL, "trainable")
    _named(drawing, box_c, "C", by(c))
    drawing.text(box_c.right + 20, middle + 6, "⊗", size=17)
    b, a = update.B.detach(), update.A.detach()
    box_b = heat(drawing, b, box_c.right + 42, middle - CELL * len(d) / 2, CELL, "trainable")
    box_a = heat(drawing, a, box_b.x + 20, middle - CELL / 2, CELL, "trainable")
    _named(drawing, Box(box_b.x, box_b.y, box_a.right - box_b.x, box_b.height), "B A", f"{by(b)}, {by(a)}")
    drawing.text(box_a.right + 20, middle + 6, "=", size=17)
    whole = heat(drawing, product, box_a.right + 40, middle - LARGE * len(product) / 2, LARGE, "trainable")
    tall, wide = LARGE * len(d), LARGE * d.shape[1]
    for i in range(len(c)):
        for j in range(c.shape[1]):
            drawing.frame(whole.x + wide * j - 0.5, whole.y + tall * i - 0.5, wide, tall, "quiet", line=1)
    i, j = divmod(int(c.abs().argmax()), c.shape[1])
    drawing.frame(box_c.x + CELL * j - 2.5, box_c.y + CELL * i - 2.5, CELL + 4, CELL + 4, "text", line=2)
    drawing.frame(whole.x + wide * j - 1.5, whole.y + tall * i - 1.5, wide + 2, tall + 2, "text", line=2)
    drawing.text(whole.middle[0], whole.y - 10, "ΔW, entry by entry", size=13, bold=True)
    rank = int(torch.linalg.matrix_rank(product))
    drawing.note(RIGHT, BOTTOM + 1, f"drawn: {by(product)}, rank {rank}", anchor="end")
    return drawing


def _named(drawing: Drawing, box: Box, name: str, size: str) -> None:
    """Write a name above what was drawn, and its size below."""
    drawing.text(box.middle[0], box.y - 10, name, size=14, bold=True)
    drawing.note(box.middle[0], box.bottom + 15, size)
