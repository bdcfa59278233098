"""A page of the gallery: LoRA small at the left, always the same; the variant beside it, its difference ringed."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

import lorabook as lb
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.terms import Box, Matrix, Term, Word, of, row
from lorabook.core.adapted_layer import Adapted
from lorabook.core.lora import ORIGIN

D_OUT, D_IN, RANK, ALPHA = 48, 64, 8, 16.0
LEFT, MIDDLE, RIGHT, TOP, BOTTOM = 24, 222, 736, 56, 258
"""The variant's picture lies between MIDDLE and RIGHT, TOP and BOTTOM."""


def plain_layer(d_out: int = D_OUT, d_in: int = D_IN, *, bias: bool = False, seed: int = 0) -> nn.Linear:
    """Return a layer that looks pretrained: entries of size 1/√d_in, float64, a bias of ones if it has one."""
    layer = nn.Linear(d_in, d_out, bias=bias, dtype=torch.float64)
    layer.weight.data.normal_(generator=torch.Generator().manual_seed(seed)).div_(d_in**0.5)
    if bias:
        layer.bias.data.fill_(1)
    return layer


def adapt(recipe: lb.Recipe, d_out: int = D_OUT, d_in: int = D_IN, *, bias: bool = False) -> Adapted:
    """Return the layer that every page draws: d_out × d_in, adapted by the library itself."""
    model = nn.ModuleDict({"layer": plain_layer(d_out, d_in, bias=bias)})
    lb.inject(model, recipe, targets="layer", generator=torch.Generator().manual_seed(1))
    return model["layer"]


def moved(layer: Adapted) -> Adapted:
    """Move every trained number of a layer by a random one, as training would; seed 2."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for held in layer.update.parameters():
            held.add_(0.3 * torch.randn(held.shape, generator=generator, dtype=held.dtype))
    return layer


def delta(layer: Adapted) -> Tensor:
    """Return ΔW = W − W₀, with W₀ what the layer was before it was adapted."""
    return (layer.update.weight(layer.base.matrix) - plain_layer(*layer.base.store.shape).weight).detach()


def w0(layer: Adapted, name: str = "W₀", note: str = "", role: str = "frozen") -> Matrix:
    """Return the frozen matrix of a layer as a term."""
    return of(name, layer.base.matrix, note, role)


def beside_lora(sentence: str, formula: str, trained: str, width: int = 760, height: int = 320) -> Drawing:
    """Return a page with its title, LoRA's own equation at the left, and the variant's formula at the foot."""
    drawing = Drawing(sentence, width, height)
    lora_small(drawing)
    foot(drawing, formula, trained)
    return drawing


def lora_small(drawing: Drawing) -> None:
    """Draw LoRA's own equation at the left, small."""
    bottom = drawing.height - 62
    lora = adapt(lb.LoRA(r=RANK, alpha=ALPHA))
    drawing.text((LEFT + MIDDLE - 16) / 2, TOP + 14, "LoRA", size=13, role="quiet", bold=True)
    terms = [w0(lora), Word("+"), of("B", lora.update.B), of("A", lora.update.A)]
    row(drawing, terms, LEFT, TOP + 10, MIDDLE - LEFT - 24, bottom - TOP - 20)
    drawing.line([(MIDDLE - 8, TOP + 4), (MIDDLE - 8, bottom)], "grid", width=1)


def foot(drawing: Drawing, formula: str, said: str) -> None:
    """Write the variant's formula at the foot of a page, and a quiet line below it."""
    y = drawing.height - 62
    drawing.line([(LEFT, y + 6), (drawing.width - LEFT, y + 6)], "grid", width=1)
    drawing.text(LEFT, y + 31, formula, size=15, anchor="start")
    drawing.text(LEFT, y + 50, said, size=12, anchor="start", role="quiet")


def trains(layer: Adapted) -> str:
    """Say how many numbers the layer trains, how many LoRA does at the gallery's rank, and how many W₀ has."""
    here = sum(p.numel() for p in layer.parameters() if p.requires_grad)
    d_out, d_in = layer.base.store.shape
    plain = ORIGIN.form.count(d_out, d_in, RANK)
    return f"Trains {here:,} numbers; LoRA of rank {RANK} trains {plain:,}; W₀ has {d_out * d_in:,}."


def equation(sentence: str, formula: str, layer: Adapted, terms: Sequence[Term]) -> tuple[Drawing, list[Box]]:
    """Return the page of a variant that one equation tells, and where its matrices lie."""
    drawing = beside_lora(sentence, formula, trains(layer))
    return drawing, row(drawing, terms, MIDDLE + 30, TOP, RIGHT - MIDDLE - 30, BOTTOM - TOP)
