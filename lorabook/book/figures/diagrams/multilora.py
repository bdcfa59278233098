"""MultiLoRA: several LoRAs added up, each with a trained factor for every output."""

import lorabook as lb
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.page import MIDDLE, RANK, TOP, adapt, beside_lora, trains

N, UNIT, STEP = 3, 1.1, 58


def draw() -> Drawing:
    layer = adapt(lb.MultiLoRA(r=RANK, n=N))
    update, (d_out, d_in) = layer.update, layer.base.store.shape
    zero = "v starts at zero" if not update.v.any() else "v does not start at zero"
    drawing = beside_lora(
        f"MultiLoRA: {N} LoRAs in parallel, each with a trained factor for every output",
        "W = W₀ + s·Σ_{i} diag(v_{i}) B_{i}A_{i}; A and B start random, and " + zero,
        trains(layer),
    )
    middle, x = TOP + 20 + STEP * N / 2, MIDDLE + 50
    drawing.rect(x, middle - 1.7 * d_out / 2, 1.7 * d_in, 1.7 * d_out, "frozen")
    drawing.text(x + 1.7 * d_in / 2, middle + 5, "W₀", size=15, role="on-frozen", bold=True)
    drawing.note(x + 1.7 * d_in / 2, middle + 1.7 * d_out / 2 + 15, f"{d_out} × {d_in}")
    x += 1.7 * d_in + 30
    drawing.text(x, middle + 5, "+", size=17)
    x += 46
    drawing.text(x + 3, TOP + 10, "v_{i}", size=13, bold=True)
    drawing.text(x + 48, TOP + 10, "B_{i}", size=13)
    drawing.text(x + 110, TOP + 10, "A_{i}", size=13)
    pairs = zip(update.v.T, update.B.split(update.r, dim=1), update.A.split(update.r), strict=True)
    for i, (v, b, a) in enumerate(pairs):
        y = middle + STEP * (i - (N - 1) / 2)
        drawing.rect(x, y - UNIT * len(v) / 2, 6, UNIT * len(v), "trainable")
        drawing.text(x + 24, y + 5, "⊙", size=15)
        drawing.rect(x + 44, y - UNIT * len(b) / 2, UNIT * b.shape[1], UNIT * len(b), "trainable")
        drawing.rect(x + 62, y - UNIT * len(a) / 2, 1.4 * a.shape[1], UNIT * len(a), "trainable")
    drawing.frame(x - 6, TOP + 17, 18, STEP * N + 7, "text")
    drawing.text(x + 172, middle + 5, "starts as W₀", size=12, anchor="start", role="quiet")
    return drawing
