"""A chapter as Sphinx reads it: the committed notebook, with a place for what lives beside its still picture."""

import html
import re

import nbformat
from nbformat import NotebookNode

from lorabook.book.explore.predict import UNANSWERED
from lorabook.book.outputs import PNG
from lorabook.book.site.formulas import with_formulas
from lorabook.book.site.live import Widgets

BAR = re.compile(r"\d%\|.*\| \d+/\d+ \[")
OPEN_IT = "Open what was measured"
ASKS = (
    '<p class="lorabook-asks">This is how the explorer begins. It computes: move it in your own copy, '
    "<code>lorabook lab {chapter}</code>.</p>"
)


def page_of(notebook: NotebookNode, name: str, widgets: Widgets) -> NotebookNode:
    """Return the notebook of a page.

    Args:
        name: of the chapter; its tables lie in a script of that name.
    """
    predictions = {cell: live for cell, live in widgets.living.items() if live["view"] == "predict"}
    guesses = {live["state"]["question"]: cell for cell, live in predictions.items()}
    page = nbformat.from_dict({**notebook, "cells": []})
    for cell in notebook.cells:
        page.cells.append(_cell(cell, name, widgets, guesses))
    if widgets.living:
        page.cells.append(_scripts(name, sorted({live["view"] for live in widgets.living.values()})))
    return page


def _cell(cell: NotebookNode, name: str, widgets: Widgets, guesses: dict[str, str]) -> NotebookNode:
    if cell.cell_type != "code":
        return cell
    hidden = cell.metadata.get("jupyter", {}).get("source_hidden", False)
    cell = nbformat.from_dict({**cell, "metadata": {"tags": ["hide-input"] * hidden}})
    outputs = [_output(output, guesses) for output in cell.outputs if not _is_bar(output)]
    if cell.id in widgets.living:
        # A cell shows its value last. The runtime draws into the place, and hides the output behind it.
        outputs.insert(len(outputs) - 1, _html(f'<div class="lorabook-live" data-live="{cell.id}"></div>'))
    if cell.id in widgets.asking:
        outputs.append(_html(ASKS.format(chapter=name[:2])))
    cell.outputs = outputs
    return cell


def _output(output: NotebookNode, guesses: dict[str, str]) -> NotebookNode:
    data = output.get("data", {})
    if "text/html" in data:
        return _html(with_formulas(data["text/html"]))
    if PNG in data:
        size = output.metadata.get(PNG, {})
        alt = html.escape(size.get("alt") or data.get("text/plain", ""))
        width = f' width="{size["width"]}"' if "width" in size else ""
        picture = f'<img class="lorabook-picture" src="data:{PNG};base64,{data[PNG].strip()}"{width} alt="{alt}">'
        return _html(picture)
    if UNANSWERED in data.get("text/markdown", ""):
        question = data["text/markdown"].partition("\n\n<details>")[0]
        opened = f'<details data-answers="{guesses.get(question, "")}"><summary>{OPEN_IT}'
        text = data["text/markdown"].replace(f"<details><summary>{UNANSWERED}", opened)
        return nbformat.from_dict({**output, "data": {"text/markdown": text}})
    return output


def _is_bar(output: NotebookNode) -> bool:
    """A progress bar as text: where it was drawn it has moved, and here it would stand still."""
    return BAR.search(output.get("data", {}).get("text/plain", "")) is not None


def _html(text: str) -> NotebookNode:
    return nbformat.v4.new_output("display_data", {"text/html": text})


def _scripts(name: str, views: list[str]) -> NotebookNode:
    files = [*(f"views/{view}" for view in views), f"tables/{name}"]
    tags = "".join(f'<script src="_static/lorabook/{file}.js"></script>' for file in files)
    cell = nbformat.v4.new_markdown_cell(tags)
    cell.id = "lorabook-scripts"
    return cell
