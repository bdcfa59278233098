"""adapters: a bottleneck behind a layer, in series, with a nonlinearity in it."""

import torch
from torch import Tensor, nn

from lorabook.baselines.bottleneck import insert_bottlenecks
from lorabook.book.figures.blocks import Box, block, by, plus_node
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.layers import RANK, plain_layer
from lorabook.book.figures.page import foot
from lorabook.cost.count import trainable

UNIT, PATH, DETOUR = 1.5, 104, 194


def draw() -> Drawing:
    model = nn.ModuleDict({"layer": plain_layer()})
    (bottleneck,) = insert_bottlenecks(model, "layer", m=RANK, generator=torch.Generator().manual_seed(0)).values()
    drawing = Drawing("adapters: a small network behind the layer, which no matrix can absorb")
    drawing.text(40, PATH + 5, "x", size=16, bold=True)
    drawing.arrow((52, PATH), (84, PATH))
    w0 = block(drawing, bottleneck.layer.weight.shape, 90, PATH, UNIT, "frozen", name="W₀", size=16)
    drawing.note(w0.middle[0], w0.bottom + 16, f"{by(bottleneck.layer.weight)}, frozen")
    drawing.arrow((w0.right + 4, PATH), (642, PATH))
    drawing.text(w0.right + 34, PATH - 8, "h", size=16, bold=True)
    start = w0.right + 64
    drawing.arrow((start, PATH), (start, DETOUR), (start + 26, DETOUR))
    x = _factor(drawing, "W_{down}", bottleneck.W_down, start + 32).right + 8
    drawing.arrow((x, DETOUR), (x + 24, DETOUR))
    drawing.frame(x + 30, DETOUR - 17, 44, 34, "text", line=2)
    drawing.text(x + 52, DETOUR + 6, "φ", size=18, bold=True)
    drawing.heading(x + 52, DETOUR - 26, "not linear", anchor="middle")
    drawing.arrow((x + 78, DETOUR), (x + 104, DETOUR))
    up = _factor(drawing, "W_{up}", bottleneck.W_up, x + 110)
    node = plus_node(drawing, 660, PATH)
    drawing.arrow((up.right + 8, DETOUR), (660, DETOUR), (660, node.bottom + 3))
    drawing.arrow((node.right + 2, PATH), (724, PATH))
    foot(
        drawing,
        "h ← h + W_{up} φ(W_{down} h + b_{down}) + b_{up}: in series, and paid for at every inference",
        f"Trains {trainable(bottleneck):,} numbers at width m = {RANK}; "
        "LoRA lies beside W₀, not behind it, and merges.",
    )
    return drawing


def _factor(drawing: Drawing, name: str, m: Tensor, x: float) -> Box:
    box = block(drawing, m.shape, x, DETOUR, UNIT, "trainable")
    zero = "" if m.any() else ", zero at first"
    drawing.note(box.middle[0], box.bottom + 17, f"{name} {by(m)}{zero}")
    return box
