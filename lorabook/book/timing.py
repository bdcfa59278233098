"""How long the cells of a chapter ran, and which of them left their reader waiting in the dark."""

import re
from datetime import datetime

from nbformat import NotebookNode

PATIENCE = 5
"""Seconds after which a cell must show that it goes on."""
BAR = re.compile(r"\d+%\|")
"""What every bar of tqdm begins with; a bar also says how many seconds it took."""


def seconds_of(cell: NotebookNode) -> float:
    """Return how long a cell ran when its notebook was executed; 0 where that was not kept."""
    times = cell.metadata.get("execution", {})
    start, end = times.get("iopub.execute_input"), times.get("shell.execute_reply")
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds() if start and end else 0.0


def waits(notebook: NotebookNode) -> list[str]:
    """Return one sentence for each cell that ran for more than five seconds without a bar that stays."""
    faults = []
    for number, cell in enumerate(notebook.cells):
        seconds = seconds_of(cell)
        if seconds > PATIENCE and not any(BAR.search(_text(output)) for output in cell.get("outputs", ())):
            first = cell.source.partition("\n")[0][:60]
            faults.append(f"cell {number} ({first}) ran {seconds:.0f} s without a bar: book.progress(…) shows one")
    return faults


def _text(output: NotebookNode) -> str:
    return str(output.get("text", "")) + str(output.get("data", {}).get("text/plain", ""))
