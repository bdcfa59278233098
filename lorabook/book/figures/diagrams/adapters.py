"""adapters: a bottleneck behind a layer, in series, with a nonlinearity in it."""

import torch
from torch import nn

from lorabook.baselines.bottleneck import insert_bottlenecks
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.page import RANK, foot, plain_layer


def draw() -> Drawing:
    model = nn.ModuleDict({"layer": plain_layer()})
    (made,) = insert_bottlenecks(model, "layer", m=RANK, generator=torch.Generator().manual_seed(0)).values()
    d_out, d_in = made.layer.weight.shape
    drawing = Drawing("adapters: a small network behind the layer, which no matrix can absorb")
    y, below, unit = 104, 194, 1.5
    drawing.text(40, y + 5, "x", size=16, bold=True)
    drawing.arrow((52, y), (84, y))
    drawing.rect(90, y - unit * d_out / 2, unit * d_in, unit * d_out, "frozen")
    drawing.text(90 + unit * d_in / 2, y + 5, "W₀", size=16, role="on-frozen", bold=True)
    drawing.note(90 + unit * d_in / 2, y + unit * d_out / 2 + 16, f"{d_out} × {d_in}, frozen")
    out = 90 + unit * d_in
    drawing.arrow((out + 4, y), (642, y))
    drawing.text(out + 34, y - 8, "h", size=16, bold=True)
    start = out + 64
    drawing.arrow((start, y), (start, below), (start + 26, below))
    x = start + 32
    for name, held in (("W_{down}", made.W_down), ("W_{up}", made.W_up)):
        rows, columns = held.shape
        drawing.rect(x, below - unit * rows / 2, unit * columns, unit * rows, "trainable")
        zero = "" if held.any() else ", zero at first"
        drawing.note(x + unit * columns / 2, below + unit * rows / 2 + 17, f"{name} {rows} × {columns}{zero}")
        x += unit * columns + 8
        if name == "W_{down}":
            drawing.arrow((x, below), (x + 24, below))
            drawing.frame(x + 30, below - 17, 44, 34, "text", line=2)
            drawing.text(x + 52, below + 6, "φ", size=18, bold=True)
            drawing.heading(x + 52, below - 26, "not linear", anchor="middle")
            drawing.arrow((x + 78, below), (x + 104, below))
            x += 110
    drawing.arrow((x, below), (660, below), (660, y + 17))
    drawing.frame(646, y - 14, 28, 28, "quiet")
    drawing.text(660, y + 6, "+", size=18)
    drawing.arrow((676, y), (724, y))
    trained = sum(p.numel() for p in made.parameters() if p.requires_grad)
    foot(
        drawing,
        "h ← h + W_{up} φ(W_{down} h + b_{down}) + b_{up}: in series, and paid for at every inference",
        f"Trains {trained:,} numbers at width m = {RANK}; LoRA lies beside W₀, not behind it, and merges.",
    )
    return drawing
