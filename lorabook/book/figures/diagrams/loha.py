"""LoHa: two low-rank products multiplied entry by entry."""

import lorabook as lb
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.page import RANK, adapt, equation, w0
from lorabook.book.figures.terms import Word, of


def draw() -> Drawing:
    layer = adapt(lb.LoHa(r=RANK // 2))
    held = dict(layer.update.named_parameters())
    first, second = [list(held)[:2], list(held)[2:]]
    names = ["B₁", "A₁", "B₂", "A₂"]
    ordered = sorted(first, key=lambda n: held[n].shape[0], reverse=True) + sorted(
        second, key=lambda n: held[n].shape[0], reverse=True
    )
    b1, a1, b2, a2 = (of(said, held[name]) for said, name in zip(names, ordered, strict=True))
    terms = [w0(layer), Word("+"), b1, a1, Word("⊙"), b2, a2]
    drawing, boxes = equation(
        "LoHa: two products of rank r, multiplied entry by entry, reach rank r²",
        "W = W₀ + s·(B₁A₁) ⊙ (B₂A₂)",
        layer,
        terms,
    )
    x, y, end = boxes[1].x, boxes[1].y - 8, boxes[-1].x + boxes[-1].width
    drawing.line([(x, y), (x, y - 7), (end, y - 7), (end, y)], "text")
    drawing.heading((x + end) / 2, y - 14, f"rank {RANK // 2} each, {(RANK // 2) ** 2} together", anchor="middle")
    return drawing
