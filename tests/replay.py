"""Run notebooks as their maintainers do, with plain nbval, in a process of its own that reaches this machine only."""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import nbformat

from lorabook.book import offline
from lorabook.book.outputs import is_compared, texts

CHAPTER_SECONDS = 900


@dataclass(frozen=True)
class Replay:
    """How one notebook went: pytest's exit code, what it printed, and how long it took (s)."""

    exit_code: int
    text: str
    seconds: float


def replay(notebook: Path) -> Replay:
    """Execute a notebook in its own folder and compare every output with the stored one, as `pytest --nbval` does."""
    quiet = ["-q", "--color=no", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "--nbval", *quiet, notebook.name]
    began = time.perf_counter()
    done = subprocess.run(
        command, env=offline.environment(), cwd=notebook.parent, capture_output=True, text=True, check=False,
        timeout=CHAPTER_SECONDS,
    )  # fmt: skip
    return Replay(done.returncode, done.stdout + done.stderr, time.perf_counter() - began)


def compared(notebook: Path) -> list[str]:
    """Return the stored texts that nbval compares: those of cells that were executed and are not tagged."""
    cells = nbformat.read(notebook, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code" and cell.execution_count and is_compared(cell)]
    return [text for cell in code for text in texts(cell.outputs)]
