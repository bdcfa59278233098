"""LoRA-FA: A is frozen, and what is kept for backward shrinks from x to Ax."""

import lorabook as lb
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.layers import ALPHA, RANK, adapt, numbers_for_backward
from lorabook.book.figures.page import equation_and_measurement, two_bars, w0
from lorabook.book.figures.terms import Word, of

TOKENS = 32


def draw() -> Drawing:
    plain, layer = adapt(lb.LoRA(r=RANK, alpha=ALPHA)), adapt(lb.LoRAFA(r=RANK))
    drawing = equation_and_measurement(
        "LoRA-FA: A stays as it was drawn, so only Ax is kept for backward, not x",
        "ΔW = s·BA with A frozen; ∂L/∂B = s·(∂L/∂h)(Ax)^{T} needs Ax and never x",
        layer,
        [w0(layer), Word("+"), of("B", layer.update.B), of("A", layer.update.A, "frozen")],
    )
    numbers = {"LoRA": numbers_for_backward(plain, TOKENS), "LoRA-FA": numbers_for_backward(layer, TOKENS)}
    bars = {name: (value, f"{value:g}", "hue-3") for name, value in numbers.items()}
    two_bars(drawing, "kept for backward, a token", bars, room=30)
    return drawing
