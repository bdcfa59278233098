"""The summaries as a table in a terminal, and the rows as a file for other programs."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from lorabook.arena.job import FIELDS, Row
from lorabook.arena.summary import Summary

HEAD = ("contender", "budget", "size", "trained", "rate", "score", "±", "seeds", "regret", "plateau", "forgot", "step")


def table(summaries: Sequence[Summary]) -> str:
    """Return one block of lines for each task, the best score first."""
    lines = []
    for task in sorted({summary.place.task for summary in summaries}):
        own = [summary for summary in summaries if summary.place.task == task]
        rows = [HEAD, *map(_cells, own)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
        lines.append(f"{task}: before adapting {own[0].start:.3f}; lower is better")
        for row in rows:
            cells = [
                cell.ljust(width) if n < 2 else cell.rjust(width)
                for n, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append("  " + "  ".join(cells).rstrip())
        lines.append("")
    return "\n".join(lines)


def export(rows: Iterable[Row], path: Path) -> None:
    """Write every row as a line of CSV; what holds several numbers becomes one cell, apart by spaces."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(FIELDS)
        for row in rows:
            writer.writerow([_cell(getattr(row, name)) for name in FIELDS])


def _cell(value: object) -> object:
    if isinstance(value, dict):
        return " ".join(f"{name}={each}" for name, each in value.items())
    return " ".join(map(str, value)) if isinstance(value, tuple) else value


def _cells(summary: Summary) -> tuple[str, ...]:
    return (
        summary.place.method, summary.place.budget, str(summary.size), f"{summary.trained:,}", f"{summary.lr:.2g}",
        f"{summary.mean:.3f}", f"{summary.spread:.3f}", str(summary.seeds),
        "" if summary.regret is None else f"{summary.regret:.3f}", str(summary.plateau), f"{summary.forgotten:.2f}",
        f"{summary.step_ratio:.2f}",
    )  # fmt: skip
