"""Matrices one by one, each where a diagram wants it, and what belongs to them: a pair of factors, a key, a sum."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from lorabook.book.figures.drawing import Drawing


@dataclass(frozen=True)
class Box:
    """Where a matrix was drawn, in pixels."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> tuple[float, float]:
        return self.x + self.width / 2, self.y + self.height / 2

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height


def block(
    drawing: Drawing, shape: Sequence[int], x: float, middle: float, unit: float, role: str, *, name: str = "",
    size: float = 14,
) -> Box:  # fmt: skip
    """Draw a matrix of this shape with its left side at x, its rows centred on the height `middle`, its name in it.

    Args:
        unit: pixels for a row and for a column.
    """
    rows, columns = shape
    box = Box(x, middle - unit * rows / 2, unit * columns, unit * rows)
    drawing.rect(box.x, box.y, box.width, box.height, role)
    if name:
        drawing.text(box.middle[0], middle + 5, name, size=size, role=f"on-{role}", bold=True)
    return box


def by(m: Tensor) -> str:
    """Return the shape of a matrix in words: rows × columns."""
    return f"{m.shape[0]} × {m.shape[1]}"


@dataclass(frozen=True)
class Scale:
    """Pixels for a rank, an output and an input of a pair of factors: a rank may need more to be seen at all."""

    rank: float
    d_out: float
    d_in: float
    gap: float = 4


def pair(
    drawing: Drawing, b: Sequence[int], a: Sequence[int], x: float, middle: float, scale: Scale, role: str, *,
    used: int | None = None, rest: str = "",
) -> None:  # fmt: skip
    """Draw B and A of these shapes side by side, centred on the height `middle`.

    Args:
        used: how many ranks are in `role`, counted from the first; all of them if None.
        rest: the role of those that are not, which are otherwise left out.
    """
    (d_out, r), d_in = b, a[1]
    left_of_a, top_of_a = x + scale.rank * r + scale.gap, middle - scale.rank * r / 2
    for ranks, part in ((r, rest), (r if used is None else used, role)):
        if part:
            drawing.rect(x, middle - scale.d_out * d_out / 2, scale.rank * ranks, scale.d_out * d_out, part)
            drawing.rect(left_of_a, top_of_a, scale.d_in * d_in, scale.rank * ranks, part)


def key(drawing: Drawing, x: float, y: float, role: str, meaning: str, *, faint: float = 1.0) -> None:
    """Write what a colour stands for, beside a square of it, on the line at y."""
    drawing.rect(x, y - 11, 13, 13, role, faint=faint)
    drawing.text(x + 20, y, meaning, size=12, anchor="start")


def plus_node(drawing: Drawing, x: float, y: float) -> Box:
    """Draw the place where two flows are added, centred on (x, y)."""
    box = Box(x - 14, y - 14, 28, 28)
    drawing.frame(box.x, box.y, box.width, box.height, "quiet")
    drawing.text(x, y + 6, "+", size=18)
    return box
