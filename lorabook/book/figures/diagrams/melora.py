"""MELoRA: small LoRAs on slices of the input and of the output."""

import lorabook as lb
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.layers import RANK, adapt
from lorabook.book.figures.page import BOTTOM, MIDDLE, RIGHT, TOP, beside_lora, trains, w0
from lorabook.book.figures.terms import Matrix, Part, Word, row

N = 4


def draw() -> Drawing:
    layer = adapt(lb.MELoRA(r=RANK, n=N))
    d_out, d_in = layer.base.store.shape
    (n, tall, r), wide = layer.update.B.shape, layer.update.A.shape[2]
    places = range(n)
    b = Matrix("B", d_out, n * r, "trainable", parts=tuple(Part(tall * i, r * i, tall, r, "trainable") for i in places))
    a = Matrix("A", n * r, d_in, "trainable", parts=tuple(Part(r * i, wide * i, r, wide, "trainable") for i in places))
    change = tuple(Part(tall * i, wide * i, tall, wide, "trainable") for i in places)
    drawing = beside_lora(
        f"MELoRA: {n} small LoRAs on slices; {n} times the rank with the same numbers",
        f"ΔW = s · blockdiag(B₁A₁, …, B_{{n}}A_{{n}}): rank n·r = {n * r}, here n = {n} and r = {r}",
        trains(layer),
    )
    boxes = row(drawing, [w0(layer), Word("+"), b, a], MIDDLE + 8, TOP, 346, BOTTOM - TOP)
    unit = boxes[0].height / d_out
    x, y = RIGHT - unit * d_in - 2, boxes[0].y
    drawing.rect(x, y, unit * d_in, unit * d_out, "grid", faint=0.5)
    for part in change:
        drawing.rect(
            x + unit * part.left, y + unit * part.top, unit * part.columns, unit * part.rows, part.role, faint=0.6
        )
    drawing.text(x + unit * d_in / 2, y - 10, "ΔW", size=13, bold=True)
    drawing.note(x + unit * d_in / 2, y + unit * d_out + 15, "no slice moves another")
    drawing.text(x - 16, y + unit * d_out / 2 + 5, "=", size=15)
    return drawing
