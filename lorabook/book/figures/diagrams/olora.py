"""OLoRA: W₀ = QR, of which the first r columns and rows train."""

from torch import linalg

import lorabook as lb
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.layers import RANK, adapt, plain_layer
from lorabook.book.figures.page import BOTTOM, MIDDLE, RIGHT, TOP, beside_lora, trains
from lorabook.book.figures.terms import Matrix, Part, Word, row


def draw() -> Drawing:
    layer = adapt(lb.OLoRA(r=RANK, alpha=float(RANK)))
    (d_out, d_in), columns, rows = layer.base.store.shape, layer.update.B.shape[1], layer.update.A.shape[0]
    q, r = linalg.qr(plain_layer().weight.detach())
    parts = (Part(0, 0, d_out, columns, "trainable"), Part(0, columns, d_out, q.shape[1] - columns, "residual"))
    drawing = beside_lora(
        "OLoRA: W₀ = QR; r columns of Q and r rows of R train, the rest is frozen",
        "B = Q[:, :r], A = R[:r], W_{res} = W₀ − s·BA; the columns of B are orthonormal",
        trains(layer) + " Drawn with α = r, so that s = 1.",
    )
    terms = [
        Matrix("W₀", d_out, d_in, "frozen"),
        Word("="),
        Matrix("Q", *q.shape, "residual", parts=parts),
        Matrix("R", *r.shape, "residual", parts=(Part(0, 0, 0, 0, "grid"),)),
    ]
    boxes = row(drawing, terms, MIDDLE + 20, TOP - 4, RIGHT - MIDDLE - 20, BOTTOM - TOP)
    box, unit = boxes[2], boxes[1].width / q.shape[1]
    # R's own zeros decide where each row begins.
    begins = [box.x + unit * int((line != 0).nonzero()[0]) for line in r]
    for role, first, last in (("residual", rows, len(r)), ("trainable", 0, rows)):
        edge = [(begins[i], box.y + unit * (i + below)) for i in range(first, last) for below in (0, 1)]
        end = box.right
        drawing.area([*edge, (end, box.y + unit * last), (end, box.y + unit * first)], role)
    drawing.text(boxes[1].x + unit * columns / 2, box.y - 8, "B", size=14, bold=True)
    drawing.text(box.middle[0], box.y - 8, "A", size=14, bold=True)
    drawing.text(
        boxes[1].x + unit * (columns + q.shape[1]) / 2, box.middle[1] + 5, "frozen", size=12, role="on-residual"
    )
    drawing.text(box.x + box.width * 0.7, box.middle[1] + 5, "frozen", size=12, role="on-residual")
    return drawing
