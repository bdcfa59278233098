"""LoKr: one small block, copied over the whole matrix, each copy with a factor of its own."""

import torch

import lorabook as lb
from lorabook.book.figures.cells import heat
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.page import BOTTOM, RIGHT, TOP, adapt, beside_lora, moved, trains

SMALL = (12, 16)
"""The layer that is drawn entry by entry."""


def draw() -> Drawing:
    update = moved(adapt(lb.LoKr(r=1), *SMALL)).update
    c, d = update.C.detach(), update.right().detach()
    whole = adapt(lb.LoKr(r=2))
    held = dict(whole.update.named_parameters())
    drawing = beside_lora(
        "LoKr: a grid of copies of one small block, each times an entry of C",
        "ΔW = s · C ⊗ D, D = BA: rank(ΔW) = rank(C) · rank(D)",
        trains(whole) + f" C is {_size(held['C'])}, BA {_size(held['B'] @ held['A'])}.",
    )
    middle, cell = (TOP + BOTTOM) / 2, 13
    x = 244
    y = middle - cell * len(c) / 2
    heat(drawing, c, x, y, cell, "trainable")
    drawing.text(x + cell * c.shape[1] / 2, y - 10, "C", size=14, bold=True)
    drawing.note(x + cell * c.shape[1] / 2, y + cell * len(c) + 15, _size(c))
    x += cell * c.shape[1] + 20
    drawing.text(x, middle + 6, "⊗", size=17)
    x += 22
    b, a = update.B.detach(), update.A.detach()
    y = middle - cell * len(d) / 2
    heat(drawing, b, x, y, cell, "trainable")
    heat(drawing, a, x + 20, middle - cell / 2, cell, "trainable")
    drawing.text(x + (20 + cell * a.shape[1]) / 2, y - 10, "B A", size=14, bold=True)
    drawing.note(x + (20 + cell * a.shape[1]) / 2, y + cell * len(d) + 15, f"{_size(b)}, {_size(a)}")
    x += 20 + cell * a.shape[1] + 20
    drawing.text(x, middle + 6, "=", size=17)
    x += 20
    product, big = torch.kron(c, d), 13.5
    y = middle - big * len(product) / 2
    heat(drawing, product, x, y, big, "trainable")
    for i in range(len(c)):
        for j in range(c.shape[1]):
            tall, wide = big * len(d), big * d.shape[1]
            drawing.frame(x + wide * j - 0.5, y + tall * i - 0.5, wide, tall, "quiet", line=1)
    i, j = divmod(int(c.abs().argmax()), c.shape[1])
    at_c = 244 + cell * j, middle - cell * len(c) / 2 + cell * i
    drawing.frame(at_c[0] - 2.5, at_c[1] - 2.5, cell + 4, cell + 4, "text", line=2)
    drawing.frame(x + wide * j - 1.5, y + tall * i - 1.5, wide + 2, tall + 2, "text", line=2)
    drawing.text(x + big * product.shape[1] / 2, y - 10, "ΔW, entry by entry", size=13, bold=True)
    drawing.note(
        RIGHT, BOTTOM + 1, f"drawn: {_size(product)}, rank {int(torch.linalg.matrix_rank(product))}", anchor="end"
    )
    return drawing


def _size(m: torch.Tensor) -> str:
    return f"{m.shape[0]} × {m.shape[1]}"
