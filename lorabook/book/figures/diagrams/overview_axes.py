"""The landscape: eight axes, LoRA's own choice on each, and who moves there."""

from lorabook.book import style
from lorabook.book.figures.chips import Chip, lines, wrapped
from lorabook.book.figures.diagrams.overview_comparison import in_order
from lorabook.book.figures.drawing import Drawing
from lorabook.book.landscape import Axis, axes
from lorabook.claims.discovery import folders
from lorabook.core.lora import ORIGIN

WIDE, GAP, LINE, COLUMNS = 226, 14, 24, 4


def movers(axis: Axis) -> list[str]:
    """Return the names, as in the book's legends, of what moves on an axis.

    What is no recipe (a phase, a search, a server) is on the axis that its folder of claims declares.
    """
    recipes = in_order()
    moving = {name for name, recipe in recipes.items() if axis.field in recipe.changes(ORIGIN)}
    declared = {name for name in style.VARIANTS if name in folders() and folders()[name].AXIS == axis.field}
    names = [name for name in (*style.VARIANTS, *recipes) if name in moving | (declared - set(recipes))]
    return list(dict.fromkeys(names))


def draw() -> Drawing:
    landscape = axes()
    chips = [wrapped(movers(axis), 12, WIDE - 8, letter=7.6, gap=6) for axis in landscape]
    heights = [82 + LINE * lines(names) for names in chips]
    tall = [max(heights[start : start + COLUMNS]) for start in range(0, len(landscape), COLUMNS)]
    drawing = Drawing(
        "LoRA is the origin; every variant moves along some of eight axes; moves on different axes combine",
        24 + COLUMNS * (WIDE + GAP) + 10,
        64 + sum(tall) + GAP * len(tall) + 26,
    )
    for place, (axis, names) in enumerate(zip(landscape, chips, strict=True)):
        line = place // COLUMNS
        x, y = 24 + (place % COLUMNS) * (WIDE + GAP), 64 + sum(tall[:line]) + GAP * line
        _cell(drawing, axis, names, x, y, tall[line])
    beside = sorted(name for name, folder in folders().items() if getattr(folder, "AXIS", "") == "baselines")
    drawing.text(
        24,
        drawing.height - 16,
        f"On no axis, and what LoRA is compared with: {', '.join(beside)}, full fine-tuning.",
        size=12,
        anchor="start",
        role="quiet",
    )
    return drawing


def _cell(drawing: Drawing, axis: Axis, chips: list[Chip], x: float, y: float, tall: float) -> None:
    drawing.rect(x, y, WIDE, tall, "frozen", faint=0.08)
    drawing.text(x + 12, y + 24, axis.name, size=15, anchor="start", bold=True)
    drawing.text(x + 12, y + 42, axis.decides, size=12, anchor="start", role="quiet")
    drawing.note(x + 12, y + 60, f"LoRA: {axis.origin}", anchor="start")
    for chip in chips:
        top = y + 72 + LINE * chip.line
        drawing.rect(x + chip.x, top, chip.width, LINE - 5, "trainable", faint=0.9)
        drawing.text(x + chip.middle, top + 14, chip.name, size=12, role="on-trainable")
