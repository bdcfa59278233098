"""QLoRA: the frozen matrix in four bits, block by block, on the sixteen codes of NF4."""

import torch

import lorabook as lb
from lorabook.axes.base.blocks import BLOCK, in_blocks
from lorabook.axes.base.normal_float import code_table
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.layers import RANK, adapt
from lorabook.book.figures.page import RIGHT, TOP, equation_and_measurement, lora_terms
from lorabook.book.figures.plot import Plot, Span
from lorabook.book.figures.terms import Matrix


def draw() -> Drawing:
    layer = adapt(lb.QLoRA(r=RANK))
    drawing = equation_and_measurement(
        "QLoRA: W₀ in four bits a weight; the adapters stay in full precision",
        "h = ŵ x + s·B(Ax),  ŵ = absmax of its block × one of 16 codes",
        layer,
        lora_terms(layer, Matrix("NF4(W₀)", *layer.base.store.shape, "quantised")),
    )
    plot = Plot(drawing, 534, TOP + 40, RIGHT - 546, 70, Span(-1, 1), Span(0, 1))
    dense = in_blocks(adapt(lb.LoRA(r=RANK)).base.matrix)
    x = (dense / dense.abs().amax(1, keepdim=True)).flatten()
    heights = torch.histc(x, 41, -1, 1)
    for place, height in zip(
        torch.linspace(-1, 1, 41, dtype=torch.float64).tolist(), (heights / heights.max()).tolist(), strict=True
    ):
        plot.bar(place, height, 3, "frozen")
    drawing.note(534, TOP + 28, f"weights of W₀ / absmax of their {BLOCK}", anchor="start")
    for code in code_table("cpu").tolist():
        at = plot.at(code, 0)[0]
        drawing.line([(at, plot.y + plot.height + 8), (at, plot.y + plot.height + 26)], "text", width=2)
    drawing.note(534, plot.y + plot.height + 46, "16 codes, dense where weights are", anchor="start")
    return drawing
