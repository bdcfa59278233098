"""The landscape: eight axes, LoRA's own choice on each, and who moves there."""

from lorabook.book import style
from lorabook.book.explore.axis_map import Axis, axes
from lorabook.book.figures.diagrams.overview_comparison import in_order
from lorabook.book.figures.drawing import Drawing
from lorabook.claims.catalogue import folders
from lorabook.core.lora import ORIGIN

WIDE, GAP, LINE, COLUMNS = 226, 14, 24, 4


def movers(axis: Axis) -> list[str]:
    """Return the names, as in the book's legends, of what moves on an axis.

    What is no recipe (a phase, a search, a server) is on the axis that its folder of claims declares.
    """
    recipes = in_order()
    found = {name for name, recipe in recipes.items() if axis.field in recipe.changes(ORIGIN)}
    abouts = {name for name in style.VARIANTS if name in folders() and folders()[name].AXIS == axis.field}
    return [name for name in (*style.VARIANTS, *recipes) if name in found | (abouts - set(recipes))]


def draw() -> Drawing:
    found = axes()
    places = [_wrapped(list(dict.fromkeys(movers(axis)))) for axis in found]
    heights = [82 + LINE * max((line + 1 for *_, line in chips), default=1) for chips in places]
    tall = [max(heights[start : start + COLUMNS]) for start in range(0, len(found), COLUMNS)]
    drawing = Drawing(
        "LoRA is the origin; every variant moves along some of eight axes; moves on different axes combine",
        24 + COLUMNS * (WIDE + GAP) + 10,
        64 + sum(tall) + GAP * len(tall) + 26,
    )
    for place, (axis, chips) in enumerate(zip(found, places, strict=True)):
        line = place // COLUMNS
        x, y = 24 + (place % COLUMNS) * (WIDE + GAP), 64 + sum(tall[:line]) + GAP * line
        _cell(drawing, axis, chips, x, y, tall[line])
    names = sorted(name for name, folder in folders().items() if getattr(folder, "AXIS", "") == "baselines")
    drawing.text(
        24,
        drawing.height - 16,
        f"On no axis, and what LoRA is compared with: {', '.join(names)}, full fine-tuning.",
        size=12,
        anchor="start",
        role="quiet",
    )
    return drawing


def _cell(drawing: Drawing, axis: Axis, chips: list[tuple[str, float, float, int]], x: float, y: float, tall: float):
    drawing.rect(x, y, WIDE, tall, "frozen", faint=0.08)
    drawing.text(x + 12, y + 24, axis.name, size=15, anchor="start", bold=True)
    drawing.text(x + 12, y + 42, axis.decides, size=12, anchor="start", role="quiet")
    drawing.text(x + 12, y + 60, f"LoRA: {axis.origin}", size=11, anchor="start", role="quiet")
    for name, left, width, line in chips:
        top = y + 72 + LINE * line
        drawing.rect(x + left, top, width, LINE - 5, "trainable", faint=0.9)
        drawing.text(x + left + width / 2, top + 14, name, size=12, role="on-trainable")


def _wrapped(names: list[str]) -> list[tuple[str, float, float, int]]:
    """Return (name, x, width, line) of each name, wrapped to the width of a cell."""
    placed, x, line = [], 12.0, 0
    for name in names:
        width = 7.6 * len(name) + 12
        if x + width > WIDE - 8 and x > 12:
            x, line = 12.0, line + 1
        placed.append((name, x, width, line))
        x += width + 6
    return placed
