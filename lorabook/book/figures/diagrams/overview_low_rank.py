"""Low rank: a change of a whole matrix, and the two strips whose product stands in for it."""

from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.page import foot
from lorabook.book.figures.terms import Matrix, Word, row
from lorabook.core.lora import ORIGIN

D, RANK = 192, 8


def draw() -> Drawing:
    kept, whole = ORIGIN.form.count(D, D, RANK), D * D
    drawing = Drawing(f"Low rank: two thin strips in place of {whole:,} entries", 560, 320)
    change = Matrix("ΔW", D, D, "trainable")
    strips = (Matrix("B", D, RANK, "trainable"), Matrix("A", RANK, D, "trainable"))
    row(drawing, [change, Word("≈"), *strips], 24, 48, 512, 210)
    foot(
        drawing,
        f"ΔW ≈ BA: a sum of {RANK} outer products b_{{i}}a_{{i}}^{{T}}, one for each direction",
        f"B and A hold {kept:,} numbers: {kept / whole:.1%} of those of ΔW.",
    )
    return drawing
