"""The ledger as a page: Markdown for a repository, HTML for a browser, JSON for a program."""

import json
import os
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

from lorabook.book.formula import as_mathml
from lorabook.book.refused import Refused

Line = dict[str, object]
"""What the ledger says of one statement, by the names that its JSON has."""
KINDS = {
    "holds": "Holds",
    "holds if": "Holds if",
    "false": "Often said, and false",
    "not checkable here": "Cannot be checked here",
}


def as_number(number: float | None, digits: str) -> str:
    """Return a number of the ledger as text."""
    return "not finite" if number is None else format(number, digits)


def as_markdown(lines: list[Line]) -> str:
    """Return the ledger in Markdown, by variant and by what is said of each statement. Formulas stay LaTeX in $…$."""
    checked = [line for line in lines if "reproduced" in line]
    failed = sum(not line["reproduced"] for line in checked)
    counts = [f"{sum(line['kind'] == kind for line in lines)} {word.lower()}" for kind, word in KINDS.items()]
    text = ["# The ledger of lorabook", "", f"{'; '.join(counts)}. Not reproduced: {failed}.", ""]
    for about, group in groupby(sorted(lines, key=_stable(lines)), key=lambda line: line["about"]):
        of_variant = list(group)
        text += [f"## {about}", ""]
        for kind, word in KINDS.items():
            of_kind = [line for line in of_variant if line["kind"] == kind]
            if of_kind:
                text += [f"### {word}", "", *map(_item, of_kind), ""]
    return "\n".join(text)


def _stable(lines: list[Line]) -> Callable[[Line], int]:
    """Return a sorting key: variants as they first appear. The open statements come last in a run, not in the page."""
    first: dict[object, int] = {}
    for line in lines:
        first.setdefault(line["about"], len(first))
    return lambda line: first[line["about"]]


def _item(line: Line) -> str:
    parts = [f"- {line['statement']}"]
    if line.get("when"):
        parts.append(f"  **If** {line['when']}.")
    if line.get("instead"):
        parts.append(f"  **Instead:** {line['instead']}")
    if "reason" in line:
        parts.append(f"  **Why not:** {line['reason']}")
    elif "gap" in line:
        mark = "reproduced" if line["reproduced"] else "**NOT REPRODUCED**"
        sides = f"{as_number(line['left'], '.6g')} {line['relation']} {as_number(line['right'], '.6g')}"
        gap = f"gap {as_number(line['gap'], '.1e')} (tol {line['tol']:.0e})"
        parts.append(f"  `{line['claim']}`: {sides}, {gap}, {line['verdict']}, {mark}.")
    else:
        parts.append(f"  `{line['claim']}`: **NOT REPRODUCED**: {line['verdict']}")
    return "\\\n".join([*parts, f"  Source: {line['source']}."])


def as_html(lines: list[Line]) -> str:
    """Return the ledger as one HTML file that needs no script and no network: formulas are MathML."""
    from markdown_it import MarkdownIt
    from mdit_py_plugins.dollarmath import dollarmath_plugin

    def formula(latex: str, options: dict) -> str:
        return as_mathml(latex, block=options["display_mode"])

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

    Raises:
        Refused: its ending is no known format, its folder is not there, or it may not be written.
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
