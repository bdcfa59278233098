"""The comparison: for every variant, the axes it moves on, what it trains, the rank it reaches, what backward keeps."""

import math
from dataclasses import dataclass, replace

import torch
from torch import linalg

import lorabook as lb
from lorabook.book import style
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.layers import adapt, delta, moved, numbers_for_backward
from lorabook.book.landscape import DECIDES, variants
from lorabook.core.lora import ORIGIN
from lorabook.core.recipe import IDEAS, Recipe
from lorabook.cost.count import trainable

D, RANK, TOKENS = 128, 8, 128
LINE, TOP, AXIS, BARS, LONGEST, APART = 24, 116, 124, 560, 84, 150
NAMELESS = {
    "QDoRA": lb.QLoRA() | lb.DoRA(),
    "QPiSSA": lb.QLoRA() | lb.PiSSA(),
    "paged AdamW": Recipe(optim=lb.Paged()),
}
"""Recipes that have no function of their own."""


@dataclass(frozen=True)
class Row:
    """A variant on one D × D layer: numbers it trains, rank of its ΔW, numbers kept for backward for each token."""

    trained: int
    rank: int
    backward: float


def in_order() -> dict[str, Recipe]:
    """Return every recipe under the name that the book's legends use, in the book's order."""
    named = dict(NAMELESS)
    for recipe in variants().values():
        named.setdefault(recipe.label, recipe)  # a further way to train a variant has its name, and comes after it
    order = [name for name in style.VARIANTS if name in named]
    return {name: named[name] for name in [*order, *sorted(named.keys() - set(order))]}


def measured(recipe: Recipe) -> Row:
    """Measure a variant: all its trained numbers moved at random, its output computed for some tokens."""
    layer = moved(adapt(replace(recipe, r=RANK, attention=None, also_train=None), D, D))
    sigma = linalg.svdvals(delta(layer) if recipe.base is None else _change(recipe))
    return Row(trainable(layer), int((sigma > 1e-9 * sigma[0]).sum()), numbers_for_backward(layer, TOKENS))


def _change(recipe: Recipe) -> torch.Tensor:
    """Return what training moves where the base is rounded: the rounding itself is no part of it."""
    layer = adapt(replace(recipe, r=RANK), D, D)
    before = layer.update.weight(layer.base.matrix).detach()
    return (moved(layer).update.weight(layer.base.matrix) - before).detach()


def draw() -> Drawing:
    rows = in_order()
    measurements = {name: measured(recipe) for name, recipe in rows.items()}
    fields = [field for field in DECIDES if field in IDEAS]
    drawing = Drawing(
        "Numbers trained, rank and memory move apart: what each variant changes in one layer",
        1020,
        TOP + LINE * len(rows) + 44,
    )
    step = (BARS - 24 - AXIS) / len(fields)
    for place, field in enumerate(fields):
        drawing.note(AXIS + step * (place + 0.5), TOP - 22, DECIDES[field][0])
    columns = {"numbers it trains": "trained", "rank of ΔW": "rank", "kept for backward": "backward"}
    units = ("log scale", "log scale", "numbers a token, log scale")
    for place, (column, unit) in enumerate(zip(columns, units, strict=True)):
        drawing.heading(BARS + APART * place, TOP - 38, column)
        drawing.note(BARS + APART * place, TOP - 22, unit, anchor="start")
    for line, (name, recipe) in enumerate(rows.items()):
        y, changed = TOP + LINE * line, recipe.changes(ORIGIN)
        drawing.line([(24, y + 9), (996, y + 9)], "grid", width=0.6)
        drawing.text(24, y + 2, name, size=13, anchor="start", bold=True)
        for place, field in enumerate(fields):
            x = AXIS + step * (place + 0.5)
            drawing.dot(x, y - 3, "trainable" if field in changed else "grid", size=5 if field in changed else 2)
        for place, column in enumerate(columns.values()):
            values = {who: getattr(row, column) for who, row in measurements.items()}
            least, largest = min(values.values()) / 2, max(values.values())
            length = LONGEST * math.log(values[name] / least) / math.log(largest / least)
            same = values[name] == values["LoRA"]
            drawing.rect(BARS + APART * place, y - 9, length, 13, "frozen" if same else "trainable")
            drawing.note(BARS + APART * place + length + 6, y + 2, f"{values[name]:,.0f}", anchor="start")
    drawing.text(
        24,
        TOP + LINE * len(rows) + 18,
        f"Measured on a {D} × {D} layer with r = {RANK}, {TOKENS} tokens. Grey: as "
        "LoRA. LongLoRA trains norms and embedding too. AdaLoRA ends with fewer triplets.",
        size=12,
        anchor="start",
        role="quiet",
    )
    return drawing
