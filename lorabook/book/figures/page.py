"""A page of the gallery: LoRA small at the left, always the same; the variant beside it, its difference ringed."""

from collections.abc import Mapping, Sequence

import lorabook as lb
from lorabook.book.figures.blocks import Box
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.layers import ALPHA, RANK, adapt
from lorabook.book.figures.terms import Matrix, Term, Word, of, row
from lorabook.core.adapted_layer import Adapted
from lorabook.core.lora import ORIGIN
from lorabook.cost.count import trainable

LEFT, MIDDLE, RIGHT, TOP, BOTTOM = 24, 222, 736, 56, 258
"""The variant's picture lies between MIDDLE and RIGHT, TOP and BOTTOM."""


def beside_lora(sentence: str, formula: str, trained: str, width: int = 760, height: int = 320) -> Drawing:
    """Return a page with its title, LoRA's own equation at the left, and the variant's formula at the foot."""
    drawing = Drawing(sentence, width, height)
    bottom = height - 62
    lora = adapt(lb.LoRA(r=RANK, alpha=ALPHA))
    drawing.text((LEFT + MIDDLE - 16) / 2, TOP + 14, "LoRA", size=13, role="quiet", bold=True)
    row(drawing, lora_terms(lora), LEFT, TOP + 10, MIDDLE - LEFT - 24, bottom - TOP - 20)
    drawing.line([(MIDDLE - 8, TOP + 4), (MIDDLE - 8, bottom)], "grid", width=1)
    foot(drawing, formula, trained)
    return drawing


def foot(drawing: Drawing, formula: str, aside: str) -> None:
    """Write the variant's formula at the foot of a page, and a quiet line below it."""
    y = drawing.height - 62
    drawing.line([(LEFT, y + 6), (drawing.width - LEFT, y + 6)], "grid", width=1)
    drawing.text(LEFT, y + 31, formula, size=15, anchor="start")
    drawing.text(LEFT, y + 50, aside, size=12, anchor="start", role="quiet")


def trains(layer: Adapted) -> str:
    """Say how many numbers the layer trains, how many LoRA does at the gallery's rank, and how many W₀ has."""
    d_out, d_in = layer.base.store.shape
    plain = ORIGIN.form.count(d_out, d_in, RANK)
    return f"Trains {trainable(layer):,} numbers; LoRA of rank {RANK} trains {plain:,}; W₀ has {d_out * d_in:,}."


def w0(layer: Adapted, name: str = "W₀", role: str = "frozen") -> Matrix:
    """Return the frozen matrix of a layer as a term."""
    return of(name, layer.base.matrix, role=role)


def lora_terms(layer: Adapted, frozen: Matrix | None = None) -> list[Term]:
    """Return W₀ + BA of a layer as terms; what stands in W₀'s place may be another matrix."""
    return [frozen or w0(layer), Word("+"), of("B", layer.update.B), of("A", layer.update.A)]


def equation(sentence: str, formula: str, layer: Adapted, terms: Sequence[Term]) -> tuple[Drawing, list[Box]]:
    """Return the page of a variant that one equation tells, and where its matrices lie."""
    drawing = beside_lora(sentence, formula, trains(layer))
    return drawing, row(drawing, terms, MIDDLE + 30, TOP, RIGHT - MIDDLE - 30, BOTTOM - TOP)


def equation_and_measurement(sentence: str, formula: str, layer: Adapted, terms: Sequence[Term]) -> Drawing:
    """Return the page of a variant whose equation leaves the right third to something measured."""
    drawing = beside_lora(sentence, formula, trains(layer))
    row(drawing, terms, MIDDLE + 20, TOP, 270, BOTTOM - TOP)
    return drawing


def two_bars(drawing: Drawing, heading: str, bars: Mapping[str, tuple[float, str, str]], room: float) -> None:
    """Draw LoRA's bar and the variant's in the right third: `bars[name]` is its value, how it is written, its role.

    Args:
        room: pixels kept at the right for what is written.
    """
    left = 556
    unit = (RIGHT - left - room) / max(value for value, *_ in bars.values())
    drawing.heading(left, TOP + 36, heading)
    for place, (name, (value, words, role)) in enumerate(bars.items()):
        y = TOP + 62 + 56 * place
        drawing.text(left, y + 8, name, size=12, anchor="start", role="text" if place else "quiet")
        drawing.rect(left, y + 14, unit * value, 16, role)
        drawing.text(left + unit * value + 6, y + 26, words, size=12, anchor="start")
