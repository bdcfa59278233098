"""An equation whose matrices are drawn to scale: terms from left to right, each as large as what it stands for."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from lorabook.book.figures.blocks import Box
from lorabook.book.figures.drawing import Drawing
from lorabook.claims.svg import plain

WORD, GAP = 15, 9


@dataclass(frozen=True)
class Part:
    """A rectangle inside a matrix, in its rows and columns."""

    top: float
    left: float
    rows: float
    columns: float
    role: str


@dataclass(frozen=True)
class Matrix:
    """A matrix of `rows` × `columns` in one role; or, with `parts`, an empty frame around them.

    `note` is written above it, and rings it: this is where the variant differs from LoRA.
    """

    name: str
    rows: float
    columns: float
    role: str
    note: str = ""
    parts: tuple[Part, ...] = field(default=())


@dataclass(frozen=True)
class Word:
    """What stands between matrices: +, ·, ⊙."""

    text: str


Term = Matrix | Word


def of(name: str, m: Tensor, note: str = "", role: str = "") -> Matrix:
    """Return a real matrix or vector as a term: its own shape, orange if it is a parameter that asks for a gradient."""
    rows, columns = m.shape if m.ndim == 2 else (m.numel(), 1)
    trains = isinstance(m, nn.Parameter) and m.requires_grad
    return Matrix(name, rows, columns, role or ("trainable" if trains else "frozen"), note)


def row(drawing: Drawing, terms: Sequence[Term], x: float, y: float, width: float, height: float) -> list[Box]:
    """Draw the terms in the box at (x, y), as large as they fit, and return where each matrix lies."""
    matrices = [term for term in terms if isinstance(term, Matrix)]
    words = sum(_width(term) + 2 * GAP for term in terms if isinstance(term, Word))
    between = GAP * sum(isinstance(a, Matrix) and isinstance(b, Matrix) for a, b in zip(terms, terms[1:], strict=False))
    unit = min(
        (width - words - between) / sum(m.columns for m in matrices), (height - 40) / max(m.rows for m in matrices)
    )
    middle, at = y + height / 2, x + (width - words - between - unit * sum(m.columns for m in matrices)) / 2
    boxes: list[Box] = []
    before: Term | None = None
    for term in terms:
        if isinstance(term, Word):
            drawing.text(at + GAP + _width(term) / 2, middle + 5, term.text, size=WORD)
            at += _width(term) + 2 * GAP
        else:
            at += GAP if isinstance(before, Matrix) else 0
            box = Box(at, middle - unit * term.rows / 2, unit * term.columns, unit * term.rows)
            _matrix(drawing, term, box, unit)
            boxes.append(box)
            at += box.width
        before = term
    return boxes


def _width(word: Word) -> float:
    return 0.56 * WORD * len(word.text)


def _matrix(drawing: Drawing, term: Matrix, box: Box, unit: float) -> None:
    if term.parts:
        drawing.rect(box.x, box.y, box.width, box.height, "grid", faint=0.5)
    else:
        drawing.rect(box.x, box.y, box.width, box.height, term.role)
    for part in term.parts:
        x, y = box.x + unit * part.left, box.y + unit * part.top
        drawing.rect(x, y, unit * part.columns, unit * part.rows, part.role)
    roomy = min(box.width, box.height) >= 15 and box.width >= 8 * len(plain(term.name)) and not term.parts
    # Dots would run through a name, and a hue may be light or dark.
    roomy = roomy and term.role != "quantised" and not term.role.startswith("hue")
    middle = box.x + box.width / 2
    if roomy:
        drawing.text(middle, box.y + box.height / 2 + 5, term.name, size=14, role=f"on-{term.role}", bold=True)
    size = f"{term.rows:g} × {term.columns:g}"
    drawing.note(middle, box.y + box.height + 15, size if roomy else f"{term.name}  {size}")
    if term.note:
        drawing.frame(box.x - 4, box.y - 4, box.width + 8, box.height + 8, "text")
        drawing.heading(middle, box.y - 11, term.note, anchor="middle")
