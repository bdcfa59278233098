"""The map of the axes: what each one decides, what LoRA does there, and which variants move.

axis_map(lit="form")     the eight axes as cells, the chapter's own lit
displacements()          one row for each variant: where it differs from LoRA, and to what
"""

from dataclasses import dataclass

from lorabook.book import style
from lorabook.book.figures.chips import Chip, lines, wrapped
from lorabook.book.landscape import DECIDES, Axis, axes, choice, variants
from lorabook.claims import svg
from lorabook.core.lora import ORIGIN
from lorabook.core.recipe import IDEAS

WIDTH, COLUMNS, GAP, LINE, LETTER = 200, 4, 10, 20, 6.9
INK = {"fill": "currentColor"}


@dataclass(frozen=True)
class Shown:
    """Markup for a notebook: a picture where HTML is understood, the same as a table where it is not."""

    page: str
    table: str

    def __repr__(self) -> str:
        return self.table

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        page = {"text/html": self.page} if self.page else {}
        return {"text/plain": self.table, "text/markdown": self.table, **page}


def axis_map(lit: str | None = None) -> Shown:
    """Return the map; `lit` is the axis that the chapter moves on.

    Raises:
        ValueError: there is no such axis.
    """
    if lit is not None and lit not in DECIDES:
        raise ValueError(f"lit={lit!r} is no axis; the axes are {', '.join(DECIDES)}")
    landscape = axes()
    rows = [f"| {'**' * (axis.field == lit)}{axis.name}{'** ◀ here' * (axis.field == lit)} | {axis.decides} "
            f"| {axis.origin} | {', '.join(axis.movers) or '·'} |" for axis in landscape]  # fmt: skip
    head = "| axis | decides | in LoRA | who moves here |\n| --- | --- | --- | --- |\n"
    return Shown(_picture(landscape, lit), head + "\n".join(rows))


def displacements() -> Shown:
    """Return the table of variants: a dot where a variant does as LoRA does, its own choice where it does not."""
    fields = [field for field in DECIDES if field in IDEAS] + ["also_train"]
    names = [DECIDES.get(field, ("also trains", ""))[0] for field in fields]
    rows = ["| variant | " + " | ".join(names) + " |", "| --- |" + " --- |" * len(fields)]
    for variant, recipe in variants().items():
        cells = {field: f"**{choice(value)}**" for field, value in recipe.changes(ORIGIN).items()}
        if variant == "LoRA":
            cells = {field: choice(getattr(ORIGIN, field)) for field in fields}
        # In a Markdown table a bar ends the cell.
        rows.append(f"| {variant} | " + " | ".join(cells.get(f, "·").replace("|", ", ") for f in fields) + " |")
    return Shown("", "\n".join(rows))


def _picture(landscape: list[Axis], lit: str | None) -> str:
    """Return the SVG: currentColor and two mid-tone roles, so it is readable on light and dark."""
    chips = [wrapped(axis.movers, 10, WIDTH - 8, letter=LETTER, gap=5) for axis in landscape]
    height = 76 + LINE * max(map(lines, chips))
    cells = []
    for i, axis in enumerate(landscape):
        x, y = (i % COLUMNS) * (WIDTH + GAP) + 2, (i // COLUMNS) * (height + GAP) + 2
        cells.append(svg.group(x, y, _cell(axis, chips[i], height, axis.field == lit)))
    wide, tall = COLUMNS * (WIDTH + GAP), -(-len(landscape) // COLUMNS) * (height + GAP)
    label = "The axes on which variants of LoRA differ" + (f"; this chapter moves on {DECIDES[lit][0]}" if lit else "")
    paint = {"style": "max-width:100%;height:auto;display:block;font-family:inherit"}
    return svg.picture(wide, tall, label, cells, paint)


def _cell(axis: Axis, chips: list[Chip], height: float, lit: bool) -> list[str]:
    edge, fill, width = (style.TRAINABLE.light, 0.14, 2.5) if lit else (style.FROZEN.light, 0.05, 1)
    ground = {"rx": "6", "fill": edge, "fill-opacity": f"{fill}", "stroke": edge, "stroke-width": f"{width}"}
    parts = [
        svg.rect(0, 0, WIDTH, height, ground),
        svg.text(10, 22, axis.name, 14, {"font-weight": "600", **INK}),
        svg.text(10, 40, axis.decides, 11.5, {**INK, "opacity": ".8"}),
        svg.text(10, 57, f"LoRA: {axis.origin}", 11, {**INK, "opacity": ".65"}),
    ]
    if lit:
        parts.append(svg.text(WIDTH - 10, 22, "◀ this chapter", 11, {"text-anchor": "end", **INK}))
    for chip in chips:
        y = 68 + LINE * chip.line
        box = {"rx": "8", "fill": "none", "stroke": style.TRAINABLE.light}
        parts.append(svg.rect(chip.x, y, chip.width, LINE - 4, box))
        parts.append(svg.text(chip.middle, y + 12, chip.name, 11, {"text-anchor": "middle", **INK}))
    return parts
