"""prefix: who looks at whom when n trained keys and values stand in front."""

import torch

from lorabook.baselines.prefix import Prefix
from lorabook.book.figures.cells import mask
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.page import MIDDLE, TOP, beside_lora
from lorabook.cost.count import trainable

N, LENGTH, CELL, D_HEAD = 3, 12, 13, 16


def draw() -> Drawing:
    prefix = Prefix(N, 1, D_HEAD, torch.zeros((), dtype=torch.float64), torch.Generator().manual_seed(0))
    seen = prefix.mask(LENGTH)
    drawing = beside_lora(
        "prefix: every token also looks at n trained keys and values; no W changes",
        "softmax(q [P_{k}; K]^{T}/√d) [P_{v}; V]; P_{k} and P_{v} train, q, K and V do not",
        f"Trains {trainable(prefix)} numbers: n = {N} keys and values of a head with d = {D_HEAD}. "
        "Nothing to merge, and n positions more to attend to.",
    )
    x, y = MIDDLE + 150, TOP + 30
    everywhere = torch.ones_like(seen, dtype=torch.bool)
    mask(drawing, seen[:, :N], everywhere[:, :N], x, y, CELL, "trainable")
    mask(drawing, seen[:, N:], everywhere[:, N:], x + CELL * N + 8, y, CELL, "frozen")
    drawing.heading(x + CELL * N / 2 - 1, y - 8, "prefix", anchor="middle")
    drawing.text(x + CELL * (N + LENGTH / 2) + 8, y - 8, "the text", size=12)
    drawing.note(x - 10, y + 11, "token i", anchor="end")
    drawing.note(x + CELL * (N + LENGTH) + 14, y + CELL * LENGTH - 2, "looks at j", anchor="start")
    drawing.heading(x - 10, y + CELL * LENGTH / 2 - 1, "trained", anchor="end")
    drawing.arrow((x - 60, y + CELL * LENGTH / 2 + 8), (x - 6, y + CELL * LENGTH / 2 + 8))
    return drawing
