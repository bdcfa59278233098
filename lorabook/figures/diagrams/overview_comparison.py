"""The comparison: for every variant, the axes it moves on and the numbers it trains in one layer."""

import math

from lorabook import style
from lorabook.explore.axis_map import DECIDES, variants
from lorabook.figures.drawing import Drawing
from lorabook.recipe import IDEAS, Recipe

D_OUT = D_IN = 1024
RANK, LINE, TOP = 8, 24, 104
AXIS, BAR, LONGEST = 150, 620, 150


def trained(recipe: Recipe) -> int:
    """Return the numbers that the recipe's form trains in a 1024 × 1024 layer at rank 8."""
    return recipe.complete().form.count(D_OUT, D_IN, RANK)


def in_order() -> dict[str, Recipe]:
    """Return every recipe under the name that the book's legends use, in the book's order."""
    named = {recipe.label: recipe for recipe in variants().values()}
    return dict(sorted(named.items(), key=lambda item: style.VARIANTS.index(item[0])))


def draw() -> Drawing:
    rows = in_order()
    fields = [field for field in DECIDES if field in IDEAS]
    drawing = Drawing("What each variant changes, and what it trains", 860, TOP + LINE * len(rows) + 30)
    step = (BAR - 30 - AXIS) / len(fields)
    for place, field in enumerate(fields):
        drawing.text(AXIS + step * (place + 0.5), TOP - 22, DECIDES[field][0], size=11, role="quiet")
    drawing.text(BAR, TOP - 36, f"trains in a {D_OUT} × {D_IN} layer,", size=11, anchor="start", role="quiet")
    drawing.text(BAR, TOP - 22, f"r = {RANK} (log scale)", size=11, anchor="start", role="quiet")
    plain = trained(rows["LoRA"])
    largest = max(trained(recipe) for recipe in rows.values())
    for line, (name, recipe) in enumerate(rows.items()):
        y, changed, count = TOP + LINE * line, recipe.changes(), trained(recipe)
        drawing.line([(24, y + 9), (836, y + 9)], "grid", width=0.6)
        drawing.text(24, y + 2, name, size=13, anchor="start", bold=True)
        for place, field in enumerate(fields):
            x = AXIS + step * (place + 0.5)
            drawing.dot(x, y - 3, "trainable" if field in changed else "grid", size=5 if field in changed else 2)
        length = LONGEST * math.log(count / 100) / math.log(largest / 100)
        drawing.rect(BAR, y - 9, length, 13, "trainable" if count != plain else "frozen")
        drawing.text(BAR + length + 6, y + 2, f"{count:,}", size=11, anchor="start", role="quiet")
    return drawing
