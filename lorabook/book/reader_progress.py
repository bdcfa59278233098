"""How far a reader has come: what she ran, predicted and solved, read from the notebooks as she saved them.

Nothing else is kept: her notebooks are the record, in her own folder, and go where she takes them. That a cell was run
JupyterLab notes in it, as the book's settings ask; a built notebook holds no such note.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lorabook.book.chapters import chapters
from lorabook.book.head import head_of
from lorabook.book.shown import Shown, table
from lorabook.models.paths import notebooks_dir


@dataclass(frozen=True)
class Count:
    """How many of how many."""

    done: int
    of: int

    def __str__(self) -> str:
        return f"{self.done} of {self.of}" if self.of else "·"


@dataclass(frozen=True)
class ReaderProgress:
    """What a reader did in one chapter."""

    title: str
    ran: Count
    predicted: Count
    solved: Count

    @property
    def begun(self) -> bool:
        return any(count.done for count in (self.ran, self.predicted, self.solved))


def progress_in(path: Path) -> ReaderProgress:
    """Return what a reader did in the notebook at `path`, when she last saved it.

    Raises:
        ValueError: the file is no notebook of the book.
    """
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = [(_text(cell["source"]), cell) for cell in cells if cell["cell_type"] == "code"]
        title = head_of(_text(cells[0]["source"]) if cells else "").title
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error
    return ReaderProgress(
        title,
        _count([cell for _, cell in code], lambda cell: bool(cell.get("metadata", {}).get("execution"))),
        _count(
            [cell for source, cell in code if ".look_back(" in source], lambda cell: "you predicted" in _shown(cell)
        ),
        _count([cell for source, cell in code if "book.check(" in source], lambda cell: _shown(cell).startswith("✓")),
    )


def progress_table(folder: Path) -> Shown:
    """Return what was done in the chapters that a reader began, and how many are left; `folder` holds her notebooks.

    Raises:
        ValueError: as `progress_in`.
    """
    names = chapters(notebooks_dir())
    own = [progress_in(path) for name in names if (path := folder / f"{name}.ipynb").exists()]
    rows = [(chapter.title, chapter.ran, chapter.predicted, chapter.solved) for chapter in own if chapter.begun]
    left = f"{len(names) - len(rows)} of {len(names)} chapters are not begun."
    return Shown(f"{table(('chapter', 'cells run', 'predicted', 'solved'), rows).text}\n\n{left}" if rows else left)


def your_progress() -> Shown:
    """Return the same for the notebooks beside this one, as they were last saved."""
    return progress_table(Path.cwd())


def _count(cells: list[dict], done: Callable[[dict], bool]) -> Count:
    return Count(sum(map(done, cells)), len(cells))


def _shown(cell: dict) -> str:
    """Return the text of a cell's last output."""
    outputs = [output["data"].get("text/plain", "") for output in cell.get("outputs", []) if "data" in output]
    return _text(outputs[-1]) if outputs else ""


def _text(lines: str | list[str]) -> str:
    return "".join(lines)
