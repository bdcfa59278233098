"""DoRA: one length for each row, trained apart from the direction."""

import lorabook as lb
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.layers import RANK, adapt
from lorabook.book.figures.page import equation, w0
from lorabook.book.figures.terms import Word, of


def draw() -> Drawing:
    layer = adapt(lb.DoRA(r=RANK))
    update = layer.update
    terms = [
        of("m", update.m, "lengths"),
        Word("⊙"),
        Word("("),
        w0(layer),
        Word("+"),
        of("B", update.B),
        of("A", update.A),
        Word(")"),
        Word("/ ‖·‖"),
    ]
    drawing, _ = equation(
        "DoRA: the length of each row trains apart from its direction",
        "W = m ⊙ (W₀ + s·BA) / ‖W₀ + s·BA‖, row by row; the norm is held constant backwards",
        layer,
        terms,
    )
    return drawing
