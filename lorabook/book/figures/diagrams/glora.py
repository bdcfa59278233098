"""GLoRA: five terms, two of which change the weight and three the bias."""

import lorabook as lb
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.layers import RANK, adapt
from lorabook.book.figures.page import MIDDLE, RIGHT, TOP, beside_lora, trains, w0
from lorabook.book.figures.terms import Matrix, Term, Word, of, row

THICK = 4.0
"""How wide a vector is drawn, in columns: one would be a hairline."""


def draw() -> Drawing:
    layer = adapt(lb.GLoRA(r=RANK // 2), bias=True)
    factors = dict(layer.update.named_parameters())
    drawing = beside_lora(
        "GLoRA: scale W₀, add to it, and move the bias too",
        "W = W₀ + W₀ ⊙ A + B,  b = b₀ + D ⊙ b₀ + E + W₀C",
        trains(layer),
        height=376,
    )
    start = MIDDLE + 4
    drawing.text(start, TOP + 14, "the weight", size=12, anchor="start", role="quiet")
    weight = [
        w0(layer),
        Word("+"),
        w0(layer),
        Word("⊙"),
        of("A_{d}", factors["A_d"]),
        of("A_{u}", factors["A_u"]),
        Word("+"),
        of("B_{d}", factors["B_d"]),
        of("B_{u}", factors["B_u"]),
    ]
    boxes = row(drawing, weight, start, TOP - 4, RIGHT - start, 150)
    drawing.text(start, TOP + 152, "the bias", size=12, anchor="start", role="quiet")
    b0 = Matrix("b₀", len(layer.base.bias), THICK, "frozen")
    d, e, c = (Matrix(name, len(factors[name]), THICK, "trainable") for name in "DEC")
    bias = [b0, Word("+"), d, Word("⊙"), b0, Word("+"), e, Word("+"), w0(layer), c]
    _vectors(drawing, bias, boxes[0].width / layer.base.store.shape[1], start + 76, 246)
    return drawing


def _vectors(drawing: Drawing, terms: list[Term], unit: float, x: float, middle: float) -> None:
    """Draw the bias's terms on the scale of the weight's, each with its name below."""
    for term in terms:
        if isinstance(term, Word):
            drawing.text(x + 12, middle + 5, term.text, size=15)
            x += 34
            continue
        wide, tall = unit * term.columns, unit * term.rows
        drawing.rect(x, middle - tall / 2, wide, tall, term.role)
        drawing.text(x + wide / 2, middle + tall / 2 + 15, term.name, size=12, bold=term.role == "trainable")
        x += wide + 10
