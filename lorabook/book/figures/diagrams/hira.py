"""HiRA: the rank of an update, singular value by singular value."""

from torch import linalg

import lorabook as lb
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.layers import ALPHA, D_OUT, RANK, adapt, delta, moved
from lorabook.book.figures.page import BOTTOM, RIGHT, TOP, beside_lora, trains, w0
from lorabook.book.figures.plot import Plot, Span
from lorabook.book.figures.terms import Word, of, row


def shares(recipe: lb.Recipe) -> list[float]:
    """Return the singular values of a trained-looking ΔW, the largest as 1."""
    sigma = linalg.svdvals(delta(moved(adapt(recipe))))
    return (sigma / sigma[0]).tolist()


def draw() -> Drawing:
    layer = adapt(lb.HiRA(r=RANK))
    drawing = beside_lora(
        "HiRA: multiply W₀ entry by entry, and a thin BA moves every direction",
        "W = W₀ ⊙ (1 + BA): rank(ΔW) ≤ r · rank(W₀), and a zero of W₀ stays zero",
        trains(layer),
    )
    terms = [w0(layer), Word("⊙ ( 1 +"), of("B", layer.update.B), of("A", layer.update.A), Word(")")]
    row(drawing, terms, 236, TOP, 300, BOTTOM - TOP)
    rows = {"LoRA": ("frozen", shares(lb.LoRA(r=RANK, alpha=ALPHA))), "HiRA": ("trainable", shares(lb.HiRA(r=RANK)))}
    drawing.heading(568, TOP + 14, "singular values of ΔW")
    for place, (name, (role, values)) in enumerate(rows.items()):
        plot = Plot(drawing, 568, TOP + 34 + 84 * place, RIGHT - 568, 48, Span(0, D_OUT + 1), Span(0, 1))
        plot.foot({1: "1", RANK: "8" if place else "r = 8", D_OUT: f"{D_OUT}"})
        for at, value in enumerate(values, start=1):
            if value > 1e-9:
                plot.bar(at, value, 2.4, role)
        rank = sum(value > 1e-9 for value in values)
        drawing.text(RIGHT, plot.y + 6, f"{name}: rank {rank}", size=12, anchor="end")
    return drawing
