"""LongLoRA: who looks at whom while training, in each half of the heads, and at inference."""

import torch

from lorabook.axes.attention.longlora import Shifted
from lorabook.book.figures.cells import mask
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.page import foot

LENGTH, GROUP, CELL = 16, 4, 10


def draw() -> Drawing:
    drawing = Drawing("LongLoRA: train in short groups, half of the heads shifted")
    halves = Shifted(GROUP).mask(2, LENGTH, torch.device("cpu"))
    full = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril()
    panels = {
        "half of the heads": (halves[0], "trainable"),
        "the other half: shifted by g/2": (halves[1], "trainable"),
        "at inference": (full, "frozen"),
    }
    top = 78
    for place, (title, (seen, role)) in enumerate(panels.items()):
        x = 70 + 236 * place
        middle = x + CELL * LENGTH / 2
        drawing.text(middle, top - 12, title, size=13, bold=True)
        mask(drawing, seen, full, x, top, CELL, role)
        drawing.note(middle, top + CELL * LENGTH + 17, f"{int(seen.sum())} of {int(full.sum())} pairs")
    drawing.note(62, top + 8, "token i", anchor="end")
    drawing.note(70 + CELL * LENGTH + 4, top + CELL * LENGTH, "j", anchor="start")
    foot(
        drawing,
        "token i sees token j ≤ i in its group ⌊i/g⌋, or ⌊(i + g/2)/g⌋: L·g scores, not L²",
        f"L = {LENGTH}, g = {GROUP}. Norms and embedding train as well.",
    )
    return drawing
