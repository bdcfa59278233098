"""One page of the gallery: LoRA small on the left, always the same; the variant large beside it, its difference ringed."""

from collections.abc import Sequence

import torch
from torch import nn

import lorabook as lb
from lorabook.figures.drawing import Drawing
from lorabook.figures.terms import Box, Matrix, Term, Word, of, row
from lorabook.layer import Adapted

D_OUT, D_IN, RANK, ALPHA = 48, 64, 8, 16.0
LEFT, MIDDLE, RIGHT, TOP, BOTTOM = 24, 222, 736, 56, 258
"""The variant's picture lies between MIDDLE and RIGHT, TOP and BOTTOM."""


def adapt(recipe: lb.Recipe, d_out: int = D_OUT, d_in: int = D_IN) -> Adapted:
    """Return the layer that every page draws: d_out × d_in, adapted by the library itself, seed 0."""
    generator = torch.Generator().manual_seed(0)
    layer = nn.Linear(d_in, d_out, bias=False, dtype=torch.float64)
    layer.weight.data.normal_(generator=generator).div_(d_in**0.5)
    model = nn.ModuleDict({"layer": layer})
    lb.inject(model, recipe, targets="layer", generator=generator)
    return model["layer"]


def w0(layer: Adapted, name: str = "W₀", note: str = "", role: str = "frozen") -> Matrix:
    """Return the frozen matrix of a layer as a term."""
    return of(name, layer.base.matrix, note, role)


def beside_lora(sentence: str, formula: str, trained: str, width: int = 760, height: int = 320) -> Drawing:
    """Return a page with its title, LoRA's own equation at the left, and the variant's formula at the foot."""
    drawing = Drawing(sentence, width, height)
    lora = adapt(lb.LoRA(r=RANK, alpha=ALPHA))
    drawing.text((LEFT + MIDDLE - 16) / 2, TOP + 14, "LoRA", size=13, role="quiet", bold=True)
    terms = [w0(lora), Word("+"), of("B", lora.update.B), of("A", lora.update.A)]
    row(drawing, terms, LEFT, TOP + 10, MIDDLE - LEFT - 24, BOTTOM - TOP - 20)
    drawing.line([(MIDDLE - 8, TOP + 4), (MIDDLE - 8, BOTTOM)], "grid", width=1)
    drawing.line([(LEFT, BOTTOM + 6), (width - LEFT, BOTTOM + 6)], "grid", width=1)
    drawing.text(LEFT, BOTTOM + 31, formula, size=15, anchor="start")
    drawing.text(LEFT, BOTTOM + 50, trained, size=12, anchor="start", role="quiet")
    return drawing


def trains(layer: Adapted) -> str:
    """Say how many numbers the layer trains, and how many LoRA does at the same rank."""
    here = sum(p.numel() for p in layer.parameters() if p.requires_grad)
    d_out, d_in = layer.base.store.shape
    plain = type(adapt(lb.LoRA(r=RANK)).update).count(d_out, d_in, RANK)
    return f"trains {here:,} numbers; LoRA {plain:,}; the layer has {d_out * d_in:,}"


def equation(sentence: str, formula: str, layer: Adapted, terms: Sequence[Term]) -> tuple[Drawing, list[Box]]:
    """Return the page of a variant that one equation tells, and where its matrices lie."""
    drawing = beside_lora(sentence, formula, trains(layer))
    return drawing, row(drawing, terms, MIDDLE + 30, TOP, RIGHT - MIDDLE - 30, BOTTOM - TOP)
