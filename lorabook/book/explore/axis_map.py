"""The axes on which variants differ, as a chapter shows them: its own one lit, or all with who moves on them.

axis_strip("form")     one line of names, the chapter's own with what it decides and what LoRA does there
axis_map()             the eight axes as cells, with the variants that move

Both are text in boxes that wrap, so that no letter shrinks with the window.
"""

import html
from collections.abc import Iterable

from lorabook.book import style
from lorabook.book.landscape import DECIDES, Axis, axes
from lorabook.book.shown import Shown

BOX = "border-radius:6px;padding:3px 9px;border:1px solid"
LIT = f"{BOX} {style.TRAINABLE.light};background:{style.TRAINABLE.light}33;font-weight:600"
DIM = f"{BOX} {style.FROZEN.light}88"
CHIP = f"border-radius:8px;padding:0 6px;border:1px solid {style.TRAINABLE.light}"
ROW = "display:flex;flex-wrap:wrap;gap:6px;align-items:center"
GRID = "display:grid;grid-template-columns:repeat(auto-fill,minmax(200px,1fr));gap:8px"


def axis_strip(field: str) -> Shown:
    """Return the names of the axes in one line, lit the one that the chapter moves on.

    Raises:
        ValueError: there is no such axis.
    """
    if field not in DECIDES:
        raise ValueError(f"{field!r} is no axis; the axes are {', '.join(DECIDES)}")
    name, decides, in_lora = DECIDES[field]
    said = f"{name}: {decides}; in LoRA {in_lora}"
    chips = [_box(said, LIT) if key == field else _box(other, DIM) for key, (other, *_) in DECIDES.items()]
    text = " · ".join(f"**{said}**" if key == field else other for key, (other, *_) in DECIDES.items())
    return Shown(text, _element("div", f"{ROW};font-size:12px", chips))


def axis_map() -> Shown:
    """Return every axis with what it decides, what LoRA does there, and which variants do otherwise."""
    landscape = axes()
    rows = [f"| {a.name} | {a.decides} | {a.origin} | {', '.join(a.movers) or '·'} |" for a in landscape]
    head = "| axis | decides | in LoRA | who moves here |\n| --- | --- | --- | --- |\n"
    return Shown(head + "\n".join(rows), _element("div", GRID, map(_cell, landscape)))


def _cell(axis: Axis) -> str:
    chips = [_box(name, CHIP) for name in axis.movers]
    parts = [
        f"<b>{html.escape(axis.name)}</b>",
        _element("div", "font-size:12px", [html.escape(axis.decides)]),
        _element("div", "font-size:12px;opacity:.8", [f"LoRA: {html.escape(axis.origin)}"]),
        _element("div", f"{ROW};gap:4px;margin-top:5px;font-size:11.5px", chips),
    ]
    return _element("div", f"{DIM};padding:8px 10px", parts)


def _box(words: str, css: str) -> str:
    return _element("span", css, [html.escape(words)])


def _element(tag: str, css: str, inside: Iterable[str]) -> str:
    return f'<{tag} style="{css}">{"".join(inside)}</{tag}>'
