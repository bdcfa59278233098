"""LoHa: two low-rank products multiplied entry by entry."""

import lorabook as lb
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.layers import RANK, adapt
from lorabook.book.figures.page import equation, w0
from lorabook.book.figures.terms import Word, of


def draw() -> Drawing:
    layer = adapt(lb.LoHa(r=RANK // 2))
    update = layer.update
    first, second = [of("B₁", update.B), of("A₁", update.A)], [of("B₂", update.B2), of("A₂", update.A2)]
    terms = [w0(layer), Word("+"), *first, Word("⊙"), *second]
    drawing, boxes = equation(
        "LoHa: two products of rank r, multiplied entry by entry, reach rank r²",
        "W = W₀ + s·(B₁A₁) ⊙ (B₂A₂)",
        layer,
        terms,
    )
    x, y, end = boxes[1].x, boxes[1].y - 8, boxes[-1].right
    drawing.line([(x, y), (x, y - 7), (end, y - 7), (end, y)], "text")
    drawing.heading((x + end) / 2, y - 14, f"rank {RANK // 2} each, {(RANK // 2) ** 2} together", anchor="middle")
    return drawing
