"""The landscape: eight axes, LoRA's own choice on each, and who moves there."""

from lorabook.explore.axis_map import Axis, axes
from lorabook.figures.drawing import Drawing

WIDE, GAP, LINE = 226, 14, 22


def draw() -> Drawing:
    found = axes()
    places = [_wrapped(axis.movers) for axis in found]
    heights = [78 + LINE * max(1, max((line + 1 for *_, line in chips), default=1)) for chips in places]
    columns, at, tops = 4, [0, 0], []
    for start in (0, columns):
        at[start // columns] = max(heights[start : start + columns])
    tops = [64, 64 + at[0] + GAP]
    drawing = Drawing("LoRA is the origin; every variant moves along some of eight axes; moves on different axes combine",
                      24 + columns * (WIDE + GAP) + 10, tops[1] + at[1] + 24)  # fmt: skip
    for place, (axis, chips) in enumerate(zip(found, places, strict=True)):
        x, y = 24 + (place % columns) * (WIDE + GAP), tops[place // columns]
        _cell(drawing, axis, chips, x, y, at[place // columns])
    return drawing


def _cell(drawing: Drawing, axis: Axis, chips: list[tuple[str, float, float, int]], x: float, y: float, tall: float):
    drawing.rect(x, y, WIDE, tall, "frozen", faint=0.08)
    drawing.text(x + 12, y + 24, axis.name, size=15, anchor="start", bold=True)
    drawing.text(x + 12, y + 42, axis.decides, size=12, anchor="start", role="quiet")
    drawing.text(x + 12, y + 60, f"LoRA: {axis.origin}", size=11, anchor="start", role="quiet")
    for name, left, width, line in chips:
        top = y + 70 + LINE * line
        drawing.rect(x + left, top, width, LINE - 4, "trainable", faint=0.9)
        drawing.text(x + left + width / 2, top + 13, name, size=11, role="on-trainable")


def _wrapped(names: tuple[str, ...]) -> list[tuple[str, float, float, int]]:
    """Return (name, x, width, line) of each name, wrapped to the width of a cell."""
    placed, x, line = [], 12.0, 0
    for name in names:
        width = 6.6 * len(name) + 12
        if x + width > WIDE - 8 and x > 12:
            x, line = 12.0, line + 1
        placed.append((name, x, width, line))
        x += width + 6
    return placed
