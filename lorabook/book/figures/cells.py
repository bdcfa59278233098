"""Small pictures of matrices, entry by entry: the larger an entry, the more colour its cell has."""

from torch import Tensor

from lorabook.book.figures.drawing import Drawing


def heat(
    drawing: Drawing, m: Tensor, x: float, y: float, cell: float, role: str, *, largest: float | None = None
) -> None:
    """Draw |m| with its first entry at (x, y), `cell` pixels each; `largest` is what has full colour.

    An entry below a fiftieth of it is an empty cell.
    """
    size = m.detach().abs() / (m.detach().abs().max() if largest is None else largest)
    for i, line in enumerate(size.tolist()):
        for j, share in enumerate(line):
            empty = share < 0.02
            drawing.rect(x + cell * j, y + cell * i, cell - 1, cell - 1, "grid" if empty else role,
                         faint=0.4 if empty else min(1.0, 0.12 + 0.88 * share))  # fmt: skip
