"""The map of the axes: what each one decides, what LoRA does there, and which variants move. Read off the recipes.

axis_map(lit="form")     the eight axes as cells, the chapter's own lit
displacements()          one row for each variant: where it differs from LoRA, and to what
"""

import html
from dataclasses import dataclass
from typing import Any

from lorabook.book import style
from lorabook.claims.catalogue import catalogue, example, folders
from lorabook.core.lora import ORIGIN
from lorabook.core.recipe import IDEAS, Recipe

DECIDES = {
    "form": ("form", "what is added to W₀"),
    "init": ("init", "where A and B start"),
    "scale": ("scale", "how loud the update is"),
    "base": ("base", "how W₀ is stored"),
    "optim": ("optimiser", "how A and B move"),
    "rule": ("step rule", "what happens around a step"),
    "attention": ("attention", "who looks at whom"),
    "many": ("many", "several adapters at once"),
}
WIDTH, COLUMNS, GAP, LINE, LETTER = 200, 4, 10, 20, 6.9


@dataclass(frozen=True)
class Axis:
    """One axis: its name and what it decides, LoRA's own choice there, the variants that choose otherwise."""

    field: str
    name: str
    decides: str
    origin: str
    movers: tuple[str, ...]


@dataclass(frozen=True)
class Shown:
    """Markup for a notebook: a picture where HTML is understood, the same as a table where it is not."""

    page: str
    table: str

    def __repr__(self) -> str:
        return self.table

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        page = {"text/html": self.page} if self.page else {}
        return {"text/plain": self.table, "text/markdown": self.table, **page}


def axes() -> list[Axis]:
    """Return the eight axes with who lives on them."""
    origin = ORIGIN
    moved = {name: recipe.changes(ORIGIN) for name, recipe in variants().items()}
    found = []
    for field, (name, decides) in DECIDES.items():
        movers = tuple(who for who, changes in moved.items() if field in changes)
        if field == "many":
            # No recipe puts several adapters on a model: what lives here is what its claims declare.
            movers = tuple(name for name, folder in folders().items() if getattr(folder, "AXIS", "") == "many")
        found.append(Axis(field, name, decides, said(getattr(origin, field, None)), movers))
    return found


def variants() -> dict[str, Recipe]:
    """Return one recipe of every variant in the package, LoRA first."""
    made = {name: example(make) for recipes in catalogue().values() for name, make in recipes.items()}
    return {"LoRA": made.pop("LoRA"), **made}


def said(value: Any) -> str:
    """Return the short name of a choice on an axis."""
    if value is None:
        return "none"
    if isinstance(value, str):
        return value
    return getattr(value, "__name__", type(value).__name__)


def axis_map(lit: str | None = None) -> Shown:
    """Return the map; `lit` is the axis that the chapter moves on.

    Raises:
        ValueError: there is no such axis.
    """
    if lit is not None and lit not in DECIDES:
        raise ValueError(f"lit={lit!r} is no axis; the axes are {', '.join(DECIDES)}")
    found = axes()
    rows = [f"| {'**' * (axis.field == lit)}{axis.name}{'** ◀ here' * (axis.field == lit)} | {axis.decides} "
            f"| `{axis.origin}` | {', '.join(axis.movers) or '·'} |" for axis in found]  # fmt: skip
    head = "| axis | decides | in LoRA | who moves here |\n| --- | --- | --- | --- |\n"
    return Shown(_drawn(found, lit), head + "\n".join(rows))


def displacements() -> Shown:
    """Return the table of variants: a dot where a variant does as LoRA does, its own choice where it does not."""
    fields = [field for field in DECIDES if field in IDEAS] + ["also_train"]
    names = [DECIDES.get(field, ("also trains", ""))[0] for field in fields]
    lines = ["| variant | " + " | ".join(names) + " |", "| --- |" + " --- |" * len(fields)]
    origin = ORIGIN
    for who, recipe in variants().items():
        cells = {f: f"**{said(v)}**" for f, v in recipe.changes(ORIGIN).items()}
        if who == "LoRA":
            cells = {f: said(getattr(origin, f)) for f in fields}
        # In a Markdown table a bar ends the cell.
        lines.append(f"| {who} | " + " | ".join(cells.get(f, "·").replace("|", ", ") for f in fields) + " |")
    return Shown("", "\n".join(lines))


def _drawn(found: list[Axis], lit: str | None) -> str:
    """Return the SVG: currentColor and two mid-tone roles, so it is readable on light and dark."""
    places = [_chips(axis.movers) for axis in found]
    height = 66 + LINE * max(line for chips in places for *_, line in chips or [(0, 0, 0)]) + 30
    cells = []
    for i, (axis, chips) in enumerate(zip(found, places, strict=True)):
        x, y = (i % COLUMNS) * (WIDTH + GAP) + 2, (i // COLUMNS) * (height + GAP) + 2
        cells.append(f'<g transform="translate({x},{y})">{_cell(axis, chips, height, axis.field == lit)}</g>')
    wide, tall = COLUMNS * (WIDTH + GAP), -(-len(found) // COLUMNS) * (height + GAP)
    label = "The axes on which variants of LoRA differ" + (f"; this chapter moves on {DECIDES[lit][0]}" if lit else "")
    return (
        f'<svg role="img" aria-label="{label}" viewBox="0 0 {wide} {tall}" width="{wide}" '
        f'style="max-width:100%;height:auto;display:block;font-family:inherit">{"".join(cells)}</svg>'
    )


def _cell(axis: Axis, chips: list[tuple[str, float, float, int]], height: int, lit: bool) -> str:
    edge, fill, width = (style.TRAINABLE.light, 0.14, 2.5) if lit else (style.FROZEN.light, 0.05, 1)
    here = f'<text x="{WIDTH - 10}" y="22" text-anchor="end" font-size="11" fill="currentColor">◀ this chapter</text>'
    drawn = [
        f'<rect width="{WIDTH}" height="{height}" rx="6" fill="{edge}" fill-opacity="{fill}" stroke="{edge}" '
        f'stroke-width="{width}"/>',
        f'<text x="10" y="22" font-size="14" font-weight="600" fill="currentColor">{axis.name}</text>',
        f'<text x="10" y="40" font-size="11.5" fill="currentColor" opacity=".8">{axis.decides}</text>',
        f'<text x="10" y="57" font-size="11" fill="currentColor" opacity=".65">LoRA: {html.escape(axis.origin)}</text>',
        here if lit else "",
    ]
    for text, x, width, line in chips:
        y = 68 + LINE * line
        drawn.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{LINE - 4}" rx="8" fill="none" '
            f'stroke="{style.TRAINABLE.light}"/><text x="{x + width / 2}" y="{y + 12}" text-anchor="middle" '
            f'font-size="11" fill="currentColor">{html.escape(text)}</text>'
        )
    return "".join(drawn)


def _chips(names: tuple[str, ...]) -> list[tuple[str, float, float, int]]:
    """Return (name, x, width, line) of each name, wrapped to the width of a cell."""
    placed, x, line = [], 10.0, 0
    for name in names:
        width = LETTER * len(name) + 12
        if x + width > WIDTH - 8 and x > 10:
            x, line = 10.0, line + 1
        placed.append((name, x, width, line))
        x += width + 5
    return placed
