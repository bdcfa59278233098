"""LoRA: the flow through a layer, both paths, with the matrices to scale."""

import lorabook as lb
from lorabook.book.figures.blocks import block, by, plus_node
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.layers import RANK, adapt
from lorabook.book.figures.page import foot

UNIT, PATH, DETOUR = 1.9, 110, 210


def draw() -> Drawing:
    layer = adapt(lb.LoRA(r=RANK))
    (d_out, d_in), a, b = layer.base.store.shape, layer.update.A, layer.update.B
    drawing = Drawing("LoRA: W₀ stays; a thin detour of rank r learns, and starts at zero")
    drawing.text(48, PATH + 4, "x", size=16, bold=True)
    drawing.note(48, PATH + 22, f"{d_in}")
    w0 = block(drawing, (d_out, d_in), 260, PATH, UNIT, "frozen", name="W₀", size=16)
    drawing.note(w0.middle[0], w0.y - 8, f"{d_out} × {d_in}, frozen")
    down = block(drawing, a.shape, 150, DETOUR, UNIT, "trainable", name="A")
    drawing.note(down.middle[0], DETOUR + 26, f"{by(a)}, random")
    up = block(drawing, b.shape, 390, DETOUR, UNIT, "trainable", name="B")
    zero = "zero" if not b.any() else "not zero"
    drawing.note(414, DETOUR + 36, f"{by(b)}, {zero} at first", anchor="start")
    drawing.arrow((62, PATH), (w0.x - 6, PATH))
    drawing.arrow((100, PATH), (100, DETOUR), (down.x - 6, DETOUR))
    drawing.arrow((down.right + 4, DETOUR), (up.x - 6, DETOUR))
    drawing.text(329, DETOUR - 8, f"Ax: only {RANK} numbers", size=11)
    drawing.arrow((up.right + 4, DETOUR), (470, DETOUR))
    drawing.text(490, DETOUR + 5, "× s", size=14)
    node = plus_node(drawing, 560, PATH)
    drawing.arrow((510, DETOUR), (560, DETOUR), (560, node.bottom + 3))
    drawing.arrow((w0.right + 4, PATH), (node.x - 4, PATH))
    drawing.arrow((node.right + 2, PATH), (640, PATH))
    drawing.text(660, PATH + 5, "h", size=16, bold=True)
    drawing.note(660, PATH + 22, f"{d_out}")
    count = layer.recipe.form.count(d_out, d_in, RANK)
    foot(
        drawing,
        "h = W₀x + s·B(Ax),  s = α/r",
        f"Trains r(d_{{in}} + d_{{out}}) = {count:,} numbers; W₀ has {d_out * d_in:,}.",
    )
    return drawing
