"""PiSSA: what the factors take out of W₀, singular value by singular value."""

from torch import linalg

import lorabook as lb
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.layers import RANK, adapt
from lorabook.book.figures.page import BOTTOM, RIGHT, TOP, equation_and_measurement, lora_terms, w0
from lorabook.book.figures.plot import Plot, Span


def draw() -> Drawing:
    layer = adapt(lb.PiSSA(r=RANK))
    update, residual = layer.update, layer.base.matrix
    drawing = equation_and_measurement(
        "PiSSA: train W₀'s own strongest directions; freeze what is left",
        "B = U_{r} √(Σ_{r}/s), A = √(Σ_{r}/s) V_{r}^{T}, W_{res} = W₀ − s·BA; the layer's output is unchanged",
        layer,
        lora_terms(layer, w0(layer, "W_{res}", "residual")),
    )
    taken = linalg.svdvals((update.s * update.B @ update.A).detach())[:RANK].tolist()
    left = linalg.svdvals(residual)[: 48 - RANK].tolist()
    plot = Plot(drawing, 560, TOP + 28, RIGHT - 560, BOTTOM - TOP - 74, Span(0, 49), Span(0, 2))
    plot.axes("singular values of W₀, by size", "σ", {1: "1", RANK: f"r = {RANK}", 48: "48"}, {1: "1", 2: "2"})
    for place, value in enumerate(taken + left, start=1):
        plot.bar(place, value, 2.6, "trainable" if place <= RANK else "residual")
    return drawing
