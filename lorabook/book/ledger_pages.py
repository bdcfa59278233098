"""The ledger as a page: Markdown for a repository, HTML for a browser, JSON for a program."""

import json
import os
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

from lorabook.book.refused import Refused

Line = dict[str, object]
KINDS = {
    "holds": "Holds",
    "holds if": "Holds if",
    "false": "Often said, and false",
    "not checkable here": "Cannot be checked here",
}


def shown(number: float | None, digits: str) -> str:
    """A number of the ledger as text."""
    return "not finite" if number is None else format(number, digits)


def as_markdown(lines: list[Line]) -> str:
    """Return the ledger in Markdown, by variant and by what is said of each statement. Formulas stay LaTeX in $…$."""
    checked = [said for said in lines if "reproduced" in said]
    failed = sum(not said["reproduced"] for said in checked)
    counts = [f"{sum(said['kind'] == kind for said in lines)} {word.lower()}" for kind, word in KINDS.items()]
    text = ["# The ledger of lorabook", "", f"{'; '.join(counts)}. Not reproduced: {failed}.", ""]
    for about, group in groupby(sorted(lines, key=_stable(lines)), key=lambda said: said["about"]):
        mine = list(group)
        text += [f"## {about}", ""]
        for kind, word in KINDS.items():
            of_kind = [said for said in mine if said["kind"] == kind]
            if of_kind:
                text += [f"### {word}", "", *(_item(said) for said in of_kind), ""]
    return "\n".join(text)


def _stable(lines: list[Line]) -> Callable[[Line], int]:
    """Variants in the order in which they first appear: the open statements come last in a run, not in the page."""
    first: dict[object, int] = {}
    for said in lines:
        first.setdefault(said["about"], len(first))
    return lambda said: first[said["about"]]


def _item(said: Line) -> str:
    parts = [f"- {said['statement']}"]
    if said.get("when"):
        parts.append(f"  **If** {said['when']}.")
    if said.get("instead"):
        parts.append(f"  **Instead:** {said['instead']}")
    if "reason" in said:
        parts.append(f"  **Why not:** {said['reason']}")
    elif "gap" in said:
        mark = "reproduced" if said["reproduced"] else "**NOT REPRODUCED**"
        sides = f"{shown(said['left'], '.6g')} {said['relation']} {shown(said['right'], '.6g')}"
        gap = f"gap {shown(said['gap'], '.1e')} (tol {said['tol']:.0e})"
        parts.append(f"  `{said['claim']}`: {sides}, {gap}, {said['verdict']}, {mark}.")
    else:
        parts.append(f"  `{said['claim']}`: **NOT REPRODUCED**: {said['verdict']}")
    return "\\\n".join([*parts, f"  Source: {said['source']}."])


def as_html(lines: list[Line]) -> str:
    """Return the ledger as one HTML file that needs no script and no network: formulas are MathML."""
    from latex2mathml.converter import convert
    from markdown_it import MarkdownIt
    from mdit_py_plugins.dollarmath import dollarmath_plugin

    def formula(latex: str, options: dict) -> str:
        # The converter knows neither \arg nor the escape in \text{kv\_heads}, and would print both as they stand.
        known = latex.replace(r"\arg", r"\operatorname{arg}")
        return convert(known, display="block" if options["display_mode"] else "inline").replace(r"\_", "_")

    page = MarkdownIt("commonmark").use(dollarmath_plugin, renderer=formula, double_inline=True)
    body = page.render(as_markdown(lines))
    head = "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n<title>The ledger of lorabook</title>"
    return f"{head}\n{STYLE}\n{body}"


STYLE = """<style>
:root { color-scheme: light dark }
body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif }
li { margin-bottom: .8rem }
code { font-size: .85em }
</style>"""


def as_json(lines: list[Line]) -> str:
    """Return the ledger as one JSON list."""
    return json.dumps(lines, ensure_ascii=False, indent=1) + "\n"


def writer(page: Path) -> Callable[[list[Line]], str]:
    """Return how to write a page of this name.

    Raises: Refused when its ending is no known format, its folder is not there, or it may not be written.
    """
    writers = {".md": as_markdown, ".html": as_html, ".json": as_json}
    if page.suffix not in writers:
        raise Refused(f"cannot write the ledger to {page.name}: end its name in {', '.join(writers)}")
    if not page.parent.is_dir():
        raise Refused(f"cannot write the ledger to {page}: there is no folder {page.parent}")
    if page.is_dir():
        raise Refused(f"cannot write the ledger to {page}: it is a folder; name a file in it")
    if not os.access(page if page.exists() else page.parent, os.W_OK):
        raise Refused(f"cannot write the ledger to {page}: you may not write there; choose another place")
    return writers[page.suffix]
