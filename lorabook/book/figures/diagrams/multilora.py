"""MultiLoRA: several LoRAs added up, each with a trained factor for every output."""

import lorabook as lb
from lorabook.book.figures.blocks import Scale, block, by, pair
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.layers import RANK, adapt
from lorabook.book.figures.page import MIDDLE, TOP, beside_lora, trains

N, STEP = 3, 58
SCALE = Scale(rank=1.1, d_out=1.1, d_in=1.4, gap=9.2)


def draw() -> Drawing:
    layer = adapt(lb.MultiLoRA(r=RANK, n=N))
    update = layer.update
    zero = "v starts at zero" if not update.v.any() else "v does not start at zero"
    drawing = beside_lora(
        f"MultiLoRA: {N} LoRAs in parallel, each with a trained factor for every output",
        "W = W₀ + s·Σ_{i} diag(v_{i}) B_{i}A_{i}; A and B start random, and " + zero,
        trains(layer),
    )
    middle = TOP + 20 + STEP * N / 2
    w0 = block(drawing, layer.base.store.shape, MIDDLE + 50, middle, 1.7, "frozen", name="W₀", size=15)
    drawing.note(w0.middle[0], w0.bottom + 15, by(layer.base.matrix))
    drawing.text(w0.right + 30, middle + 5, "+", size=17)
    x = w0.right + 76
    drawing.text(x + 3, TOP + 10, "v_{i}", size=13, bold=True)
    drawing.text(x + 48, TOP + 10, "B_{i}", size=13)
    drawing.text(x + 110, TOP + 10, "A_{i}", size=13)
    adapters = zip(update.v.T, update.B.split(update.r, dim=1), update.A.split(update.r), strict=True)
    for i, (v, b, a) in enumerate(adapters):
        y = middle + STEP * (i - (N - 1) / 2)
        drawing.rect(x, y - SCALE.d_out * len(v) / 2, 6, SCALE.d_out * len(v), "trainable")
        drawing.text(x + 24, y + 5, "⊙", size=15)
        pair(drawing, b.shape, a.shape, x + 44, y, SCALE, "trainable")
    drawing.frame(x - 6, TOP + 17, 18, STEP * N + 7, "text")
    drawing.text(x + 172, middle + 5, "starts as W₀", size=12, anchor="start", role="quiet")
    return drawing
