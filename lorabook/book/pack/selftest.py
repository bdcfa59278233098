"""A sheet tried on itself: solutions get everything, stubs and hostile answers nothing, and nothing hidden gets out."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import nbformat
import numpy as np
from nbformat.v4 import new_code_cell, new_notebook

from lorabook.book.assignments.assignment import Part
from lorabook.book.classroom.exercise import Exercise
from lorabook.book.classroom.judge import RIGHT
from lorabook.book.classroom.plain import Array, Value, entries
from lorabook.book.classroom.request import Limits
from lorabook.book.pack.feedback import write_feedback
from lorabook.book.pack.grade import grade, refuse_system
from lorabook.book.pack.hostile import cells, hostile
from lorabook.book.pack.parts import files_of
from lorabook.book.pack.release import notebook_of, release, solution_of
from lorabook.book.pack.results import Result
from lorabook.book.pack.sheet import Sheet
from lorabook.book.pack.submissions import Submission
from lorabook.book.refused import Refused

LIMITS = Limits(cpu=4, wall=1.0)
"""Hostile answers that never end are given no more than this."""


@dataclass(frozen=True)
class Finding:
    """One thing that was tried, and whether it is as it must be."""

    what: str
    holds: bool
    detail: str = ""


def selftest(sheet: Sheet, jobs: int = 1) -> list[Finding]:
    """Return what was found, on a copy of the sheet in a folder of its own.

    Raises:
        Refused: the system cannot grade, or this copy of the book has no solution to an item.
    """
    refuse_system()
    with tempfile.TemporaryDirectory() as folder:
        copy = _copied(sheet, Path(folder) / sheet.name)
        solved, attacks = list(_honest(copy)), list(_attacks(copy))
        start = time.perf_counter()
        attacked = grade(copy, attacks, jobs)
        seconds = (time.perf_counter() - start) / len(attacks)
        honest = grade(replace(copy, limits=sheet.limits), solved, jobs)
        results = {result.student: result for result in (*honest, *attacked)}
        return [*_findings(copy, results, seconds), *_leaks(copy, list(results.values()))]


def _copied(sheet: Sheet, folder: Path) -> Sheet:
    folder.mkdir()
    (folder / f"{sheet.name}.key").write_text(sheet.key, encoding="utf-8")
    return replace(sheet, folder=folder, limits=LIMITS)


def _honest(sheet: Sheet) -> Iterator[Submission]:
    notebook = notebook_of(sheet)
    yield _submission("stubs", notebook)
    files: dict[str, bytes] = {}
    for item in sheet.items:
        files |= files_of(item)
        solution = solution_of(item)
        if solution is None:
            raise Refused(f"this copy of the book has no solution to {item.name}, so the sheet cannot be tried on it")
        stubs = [f"def {name}(" for task in item.tasks for name in _names(task)]
        stubs += [f"class {name}(" for task in item.tasks for name in _names(task)]
        places = [i for i, cell in enumerate(notebook.cells) if any(stub in cell.source for stub in stubs)]
        for place in places:
            notebook.cells[place].source = solution if place == places[0] else ""
    # A chapter's own cell may use what the chapter imports.
    notebook.cells.insert(0, new_code_cell("import math\nimport torch\nimport lorabook as lb"))
    yield replace(_submission("solutions", notebook), files=files)


def _attacks(sheet: Sheet) -> Iterator[Submission]:
    for place, (name, text) in enumerate(hostile().items()):
        item = sheet.items[place % len(sheet.items)]
        functions = " = ".join(name for task in item.tasks for name in _names(task))
        code = [new_code_cell(cell) for cell in cells(text, item.name, functions)]
        yield _submission(f"hostile: {name}", new_notebook(cells=code))


def _names(task: Exercise | Part) -> tuple[str, ...]:
    return task.names if isinstance(task, Part) else (task.function,)


def _submission(student: str, notebook: nbformat.NotebookNode) -> Submission:
    return Submission(student, nbformat.writes(notebook).encode(), None)


def _findings(sheet: Sheet, results: dict[str, Result], seconds: float) -> Iterator[Finding]:
    of = sum(item.points for item in sheet.items)
    solved, stubs = results.pop("solutions"), results.pop("stubs")
    wrong = [f"{item.exercise}: {item.says}" for item in solved.items if item.code != RIGHT]
    yield Finding("the solutions get all points", solved.points == of, "; ".join(wrong))
    yield Finding("the stubs get none, and are said not to be attempted",
        stubs.points == 0 and {item.code for item in stubs.items} == {"not-attempted"})  # fmt: skip
    paid = [name for name, result in results.items() if result.points > 0]
    yield Finding(f"{len(results)} hostile answers get none", not paid, ", ".join(paid))
    yield Finding(
        f"no answer hangs: {seconds:.2f} s a submission",
        seconds < 10 * LIMITS.wall * sum(len(item.tasks) for item in sheet.items),
    )


def _leaks(sheet: Sheet, results: Sequence[Result]) -> Iterator[Finding]:
    handed_out = release(sheet).read_text(encoding="utf-8")
    secrets = {sheet.key, *_hidden(sheet, results)}
    pages = {path.name: path.read_text(encoding="utf-8") for path in write_feedback(sheet)} | {
        "the release": handed_out
    }
    found = [name for name, text in pages.items() if any(secret in text for secret in secrets)]
    yield Finding("nothing hidden is in the release or in the feedback", not found, ", ".join(found))


def _hidden(sheet: Sheet, results: Sequence[Result]) -> Iterator[str]:
    """Give the matrices of hidden inputs as an answer could print them; single numbers may be anybody's."""
    for result in results:
        for item in sheet.items:
            for task, draw in product(item.tasks, range(item.hidden)):
                for case in task.cases(sheet.hidden_seed(sheet.key, result.student, item, draw)):
                    values = [value.values for value in case.given.values() if isinstance(value, Array)]
                    large = [value for value in values if len(entries(value)) > 3]
                    yield from (str(as_printed) for value in large for as_printed in (value, _single(value)))


def _single(values: Value) -> Value:
    """Return numbers as a float32 tensor's `tolist` gives them."""
    return np.asarray(values, np.float32).tolist()
