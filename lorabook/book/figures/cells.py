"""Matrices entry by entry: sizes as strength of colour, or who may look at whom as cells full and empty."""

from torch import Tensor

from lorabook.book.figures.blocks import Box
from lorabook.book.figures.drawing import Drawing


def heat(
    drawing: Drawing, m: Tensor, x: float, y: float, cell: float, role: str, *, largest: float | None = None
) -> Box:
    """Draw |m| with its first entry at (x, y), `cell` pixels each, and return where; `largest` has full colour.

    An entry below a fiftieth of it is an empty cell.
    """
    size = m.detach().abs() / (m.detach().abs().max() if largest is None else largest)
    for i, line in enumerate(size.tolist()):
        for j, share in enumerate(line):
            empty = share < 0.02
            drawing.rect(x + cell * j, y + cell * i, cell - 1, cell - 1, "grid" if empty else role,
                         faint=0.4 if empty else min(1.0, 0.12 + 0.88 * share))  # fmt: skip
    return Box(x, y, cell * m.shape[1], cell * m.shape[0])


def mask(drawing: Drawing, seen: Tensor, shown: Tensor, x: float, y: float, cell: float, role: str) -> None:
    """Draw which token (a row) sees which (a column), its first cell at (x, y); cells not `shown` are left out."""
    for i, j in shown.nonzero().tolist():
        full = bool(seen[i, j])
        drawing.rect(x + cell * j, y + cell * i, cell - 1, cell - 1, role if full else "grid",
                     faint=1.0 if full else 0.45)  # fmt: skip
