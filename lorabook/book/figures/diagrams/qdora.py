"""QDoRA: DoRA on a base in four bits."""

import lorabook as lb
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.layers import RANK, adapt
from lorabook.book.figures.page import equation
from lorabook.book.figures.terms import Matrix, Word, of


def draw() -> Drawing:
    layer = adapt(lb.QLoRA(r=RANK) | lb.DoRA())
    update, (d_out, d_in) = layer.update, layer.base.store.shape
    terms = [
        of("m", update.m, "lengths"),
        Word("⊙ ("),
        Matrix("NF4(W₀)", d_out, d_in, "quantised", "four bits"),
        Word("+"),
        of("B", update.B),
        of("A", update.A),
        Word(") / ‖·‖"),
    ]
    drawing, _ = equation(
        "QDoRA: two moves that do not meet: W₀ in four bits, row lengths apart",
        "QLoRA | DoRA: W = m ⊙ (ŵ + s·BA) / ‖ŵ + s·BA‖, and m starts as the row lengths of ŵ",
        layer,
        terms,
    )
    return drawing
