"""Solutions are written once, in a chapter's source, between two marks; the notebook that people open has them cut.

The marks, and what stands in the place of a solution, are nbgrader's.
"""

import re
from pathlib import Path

from lorabook.book.classroom.exercise import Exercise
from lorabook.models.paths import notebooks_dir

REGION = re.compile(r"^([ \t]*)### BEGIN SOLUTION\n(.*?)^[ \t]*### END SOLUTION[^\n]*$", re.MULTILINE | re.DOTALL)
CELL = re.compile(r"^# %%.*$", re.MULTILINE)


def cut(text: str) -> str:
    """Return a cell's text with every solution replaced by a stub that says where to write.

    Raises:
        ValueError: a mark without its partner: half a solution would be left for everyone to read.
    """
    stub = REGION.sub(r"\1# YOUR CODE HERE\n\1raise NotImplementedError()", text)
    if "### BEGIN SOLUTION" in stub or "### END SOLUTION" in stub:
        raise ValueError(f"a solution mark has no partner in the cell that starts {text[:60]!r}: write both marks")
    return stub


def solved_cells(source: Path) -> list[str]:
    """Return the cells of a chapter's source that hold a solution, as written."""
    return [cell.strip() for cell in CELL.split(source.read_text(encoding="utf-8")) if REGION.search(cell)]


def solution(exercise: Exercise) -> None:
    """Print the solution of an exercise, as it stands in the source of its chapter.

    Raises:
        LookupError: this copy of the book has no solution to it (the edition that teachers hand out has none).
    """
    for source in sorted((notebooks_dir() / "src").glob("[0-9][0-9]_*.py")):
        for cell in solved_cells(source):
            if re.search(rf"^def {exercise.function}\(", cell, re.MULTILINE):
                print(re.sub(r"^[ \t]*### (BEGIN|END) SOLUTION\n?", "", cell, flags=re.MULTILINE).strip())
                return
    raise LookupError(f"{exercise.title}: this copy of the book comes without solutions; ask whoever gave it to you")
