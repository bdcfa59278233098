"""What students get: one notebook with a stub and an instant check for each item, and how to hand it in.

The cells carry nbgrader's metadata. Its points come from a cell that returns a number, as nbgrader takes partial
credit.
"""

import hashlib
import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from lorabook.book.build import METADATA
from lorabook.book.classroom.cards import show
from lorabook.book.classroom.solutions import REGION, solved_cells
from lorabook.book.pack.cells import STUB, answered, graded, locked
from lorabook.book.pack.parts import asked_of, cells_of, reference_of
from lorabook.book.pack.sheet import Item, Sheet
from lorabook.book.refused import Refused
from lorabook.core.whole_file import replace_whole
from lorabook.models.paths import notebooks_dir

UNWRITTEN = re.compile(r"^( *)# YOUR CODE HERE\n +raise NotImplementedError\(\)", re.MULTILINE)
"""Where a student writes, at whatever depth it stands."""
HOW = """# {title}

Write each function where it says YOUR CODE HERE. The cell below it checks it at once, as often as you like. Save, and
hand in this file under its own name, `{name}.ipynb`. {due}

Your functions are graded on other inputs than the check's, each on its own: what a function needs (imports, helpers,
constants) must be in this notebook, at the top level of a cell, and it must not need anything else of your machine.
"""


def release(sheet: Sheet) -> Path:
    """Write the notebook and a README into `release/NAME`, and return the notebook's path.

    nbgrader's own source of it goes to `nbgrader/source/NAME`: there a stub stands between marks, which nbgrader cuts.

    Raises:
        Refused: a solution or the key is in what would be handed out.
    """
    notebook = notebook_of(sheet)
    # Both as it is read and as it is written: a file has other quotes.
    sources = "\n".join(cell.source for cell in notebook.cells)
    _refuse_leaks(sheet, f"{sources}\n{nbformat.writes(notebook)}")
    path = sheet.folder / "release" / sheet.name / f"{sheet.name}.ipynb"
    _write(path, notebook)
    readme = (
        f"# {sheet.title}\n\nInstall lorabook, then `lorabook lab --folder .` and open {path.name}. {_due(sheet)}\n"
    )
    (path.parent / "README.md").write_text(readme, encoding="utf-8")
    for cell in notebook.cells:
        cell.source = UNWRITTEN.sub(r"\1### BEGIN SOLUTION\n\g<0>\n\1### END SOLUTION", cell.source)
    _write(sheet.folder / "nbgrader" / "source" / sheet.name / path.name, notebook)
    return path


def _write(path: Path, notebook: NotebookNode) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = nbformat.writes(notebook) + "\n"
    replace_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def notebook_of(sheet: Sheet) -> NotebookNode:
    """Return the notebook that students get."""
    how = HOW.format(title=sheet.title, name=sheet.name, due=_due(sheet))
    cells = [
        locked(sheet.name, "how", new_markdown_cell(how)),
        locked(sheet.name, "imports", new_code_cell(_imports(sheet))),
    ]
    for item in sheet.items:
        cells += cells_of(sheet, item, item.assignment) if item.assignment else _cells_of(sheet, item)
    notebook = new_notebook(cells=cells, metadata=nbformat.from_dict(METADATA))
    for index, cell in enumerate(notebook.cells):
        cell.id = hashlib.sha256(f"{sheet.name}\n{index}\n{cell.source}".encode()).hexdigest()[:12]
    return notebook


def _imports(sheet: Sheet) -> str:
    assigned = ", ".join(item.name for item in sheet.items if item.assignment)
    exercises = ", ".join(item.name for item in sheet.items if not item.assignment)
    lines = ["import torch\n"]
    if assigned:
        lines.append(f"from lorabook.book.assignments import {assigned}")
        lines.append("from lorabook.book.assignments.trying import part_points, try_files, try_out")
    if exercises:
        lines.append("from lorabook.book import reading as book")
        lines.append(f"from lorabook.book.exercises import {exercises}")
        lines.append("from lorabook.book.pack.points import points")
    return "\n".join(lines)


def _cells_of(sheet: Sheet, item: Item) -> list[NotebookNode]:
    exercise = item.exercise
    given = ", ".join(exercise.cases(sheet.public_seed(item))[0].given)
    ask = f"Stuck? `book.hint({item.name}.EXERCISE, 1)`, then 2, then 3." if sheet.hints else ""
    prompt = f"## {exercise.title} ({item.points:g} points)\n\n{show(exercise).text.partition(chr(10) * 2)[2]}\n\n{ask}"
    prompt = re.sub(r"\n\n\*\d+ hints, if you want them\.\*", "", prompt)
    stub = new_code_cell(f"def {exercise.function}({given}):\n    {STUB}")
    check = new_code_cell(f"book.check({item.name}.EXERCISE, {exercise.function})")
    scored = new_code_cell(f"points({item.name}.EXERCISE, {exercise.function}, of={item.points:g})")
    return [
        locked(sheet.name, f"{item.name}-prompt", new_markdown_cell(prompt.strip())),
        answered(sheet.name, item.name, stub),
        locked(sheet.name, f"{item.name}-check", check),
        graded(sheet.name, item.name, scored, item.points),
    ]


def _due(sheet: Sheet) -> str:
    if sheet.due is None:
        return ""
    return f"It is due on {sheet.due:%A, %d %B %Y, %H:%M %Z}."


def _refuse_leaks(sheet: Sheet, text: str) -> None:
    """Refuse a notebook in which the key is, or a line of a solution that no stub and no prompt has."""
    if sheet.key in text:
        raise Refused(f"the key of {sheet.name} is in the notebook that would be handed out: take it out of the sheet")
    asked = "\n".join(asked_of(item.assignment) if item.assignment else item.exercise.prompt for item in sheet.items)
    for item in sheet.items:
        for line in solution_lines(item):
            if line in text and line not in asked:
                raise Refused(
                    f"a line of the solution of {item.name} is in the notebook that would be handed out: {line}"
                )


def solution_of(item: Item) -> str | None:
    """Return what solves an item: the cell in its chapter's source, or a reference; None where this copy has none."""
    if item.assignment:
        return reference_of(item)
    for source in sorted((notebooks_dir() / "src").glob("[0-9][0-9]_*.py")):
        for cell in solved_cells(source):
            if re.search(rf"^def {item.exercise.function}\(", cell, re.MULTILINE):
                return cell
    return None


def solution_lines(item: Item) -> list[str]:
    """Return the lines of an item's solution that say something: 12 characters or more."""
    found = REGION.search(solution_of(item) or "")
    lines = found[2].splitlines() if found else []
    return [line.strip() for line in lines if len(line.strip()) >= 12]
