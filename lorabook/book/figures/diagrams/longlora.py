"""LongLoRA: who looks at whom while training, in each half of the heads, and at inference."""

import torch

from lorabook.axes.attention.longlora import Shifted
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.page import BOTTOM, LEFT, RIGHT

LENGTH, GROUP = 16, 4


def draw() -> Drawing:
    drawing = Drawing("LongLoRA: train in short groups, half of the heads shifted")
    mask = Shifted(GROUP).mask(2, LENGTH, torch.device("cpu"))
    full = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril()
    panels = {
        "half of the heads": (mask[0], "trainable"),
        "the other half: shifted by g/2": (mask[1], "trainable"),
        "at inference": (full, "frozen"),
    }
    cell = 10
    for place, (title, (seen, role)) in enumerate(panels.items()):
        x, y = 70 + 236 * place, 84
        drawing.text(x + cell * LENGTH / 2, y - 12, title, size=13, bold=True)
        for i in range(LENGTH):
            for j in range(i + 1):
                drawing.rect(
                    x + cell * j,
                    y + cell * i,
                    cell - 1,
                    cell - 1,
                    role if seen[i, j] else "grid",
                    faint=1.0 if seen[i, j] else 0.45,
                )
        pairs = int(seen.sum())
        drawing.note(x + cell * LENGTH / 2, y + cell * LENGTH + 17, f"{pairs} of {int(full.sum())} pairs")
    drawing.note(62, 92, "token i", anchor="end")
    drawing.note(70 + cell * LENGTH + 4, 84 + cell * LENGTH, "j", anchor="start")
    drawing.line([(LEFT, BOTTOM + 16), (RIGHT, BOTTOM + 16)], "grid", width=1)
    drawing.text(
        LEFT,
        BOTTOM + 38,
        "token i sees token j ≤ i in its group ⌊i/g⌋, or ⌊(i + g/2)/g⌋: L·g scores, not L²",
        size=15,
        anchor="start",
    )
    drawing.text(
        LEFT,
        BOTTOM + 55,
        f"L = {LENGTH}, g = {GROUP}. Norms and embedding train as well.",
        size=12,
        anchor="start",
        role="quiet",
    )
    return drawing
