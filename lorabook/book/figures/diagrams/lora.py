"""LoRA: the flow through a layer, both paths, with the matrices to scale."""

import lorabook as lb
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.page import BOTTOM, LEFT, RANK, RIGHT, adapt


def draw() -> Drawing:
    layer = adapt(lb.LoRA(r=RANK))
    d_out, d_in = layer.base.store.shape
    drawing = Drawing("LoRA: W₀ stays; a thin detour of rank r learns, and starts at zero")
    unit, y = 1.9, 110
    drawing.text(48, y + 4, "x", size=16, bold=True)
    drawing.note(48, y + 22, f"{d_in}")
    at = 260
    drawing.rect(at, y - unit * d_out / 2, unit * d_in, unit * d_out, "frozen")
    drawing.text(at + unit * d_in / 2, y + 5, "W₀", size=16, role="on-frozen", bold=True)
    drawing.note(at + unit * d_in / 2, y - unit * d_out / 2 - 8, f"{d_out} × {d_in}, frozen")
    below = y + 100
    a, b = layer.update.A, layer.update.B
    drawing.rect(150, below - unit * a.shape[0] / 2, unit * a.shape[1], unit * a.shape[0], "trainable")
    drawing.text(150 + unit * a.shape[1] / 2, below + 5, "A", size=14, role="on-trainable", bold=True)
    drawing.note(150 + unit * a.shape[1] / 2, below + 26, f"{a.shape[0]} × {a.shape[1]}, random")
    drawing.rect(390, below - 46, unit * b.shape[1], unit * b.shape[0], "trainable")
    drawing.text(390 + unit * b.shape[1] / 2, below - 12, "B", size=14, role="on-trainable", bold=True)
    zero = "zero" if not b.any() else "not zero"
    drawing.note(414, below + 36, f"{b.shape[0]} × {b.shape[1]}, {zero} at first", anchor="start")
    drawing.arrow((62, y), (at - 6, y))
    drawing.arrow((100, y), (100, below), (144, below))
    drawing.arrow((150 + unit * a.shape[1] + 4, below), (384, below))
    drawing.text(329, below - 8, f"Ax: only {RANK} numbers", size=11)
    drawing.arrow((412, below), (470, below))
    drawing.text(490, below + 5, "× s", size=14)
    drawing.arrow((510, below), (560, below), (560, y + 16))
    drawing.arrow((at + unit * d_in + 4, y), (542, y))
    drawing.frame(546, y - 13, 28, 26, "quiet")
    drawing.text(560, y + 6, "+", size=18)
    drawing.arrow((576, y), (640, y))
    drawing.text(660, y + 5, "h", size=16, bold=True)
    drawing.note(660, y + 22, f"{d_out}")
    drawing.line([(LEFT, BOTTOM + 6), (RIGHT, BOTTOM + 6)], "grid", width=1)
    drawing.text(LEFT, BOTTOM + 31, "h = W₀x + s·B(Ax),  s = α/r", size=15, anchor="start")
    count = type(layer.update).count(d_out, d_in, RANK)
    words = f"Trains r(d_{{in}} + d_{{out}}) = {count:,} numbers; W₀ has {d_out * d_in:,}."
    drawing.text(LEFT, BOTTOM + 50, words, size=12, anchor="start", role="quiet")
    return drawing
