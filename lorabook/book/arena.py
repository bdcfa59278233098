"""`lorabook arena` from the command line: what it prints, and its exit status."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from lorabook.arena.budget import BUDGETS, method_named, task_named
from lorabook.arena.job import Row
from lorabook.arena.methods import BASELINE, METHODS
from lorabook.arena.plan import left, next_jobs
from lorabook.arena.recheck import chosen, recheck
from lorabook.arena.record import Record, RecordError
from lorabook.arena.summary import summaries
from lorabook.arena.sweep import SweepError, estimate, sweep
from lorabook.arena.table import export, table
from lorabook.arena.task import TASKS
from lorabook.book.refused import Refused


def run_sweep(
    only: Sequence[str], tasks: Sequence[str], budget: str | None, workers: int, scheduler: str | None,
    folder: Path | None, dry: bool,
) -> int:  # fmt: skip
    """Run what the record lacks, or say what that is; 1 if a run was lost.

    Raises:
        Refused: a name is unknown, or the sweep or the record says why it cannot.
    """
    try:
        methods = [method_named(name) for name in dict.fromkeys([BASELINE, *only])] if only else list(METHODS)
        where = [task_named(name) for name in tasks] or list(TASKS)
        record = Record(folder)
        rows, budgets = record.rows(), [budget] if budget else list(BUDGETS)
        runs = left(rows, methods, where, budgets)
        print(_estimate(rows, runs, workers))
        if dry:
            for job in next_jobs(rows, methods, where, budgets):
                print(f"  {job.label}")
            return 0
        lost = sweep(record, methods, where, budgets, workers, scheduler)
    except (RecordError, SweepError, ValueError) as error:
        raise Refused(str(error)) from error
    for job in lost:
        print(f"lost: {job.label}")
    return 1 if lost else 0


def show(folder: Path | None) -> int:
    """Print what the record says of every contender whose rate is known."""
    found = summaries(_rows(folder))
    print(table(found) if found else "the record has no contender whose rate is known yet: run `lorabook arena`")
    return 0


def check(number: int, seed: int, folder: Path | None) -> int:
    """Run so many rows again; 1 if one differs from the record."""
    rows = chosen(_rows(folder), number, seed)
    if not rows:
        raise Refused("the record has no finished row to check: run `lorabook arena` first")
    differing = 0
    for row in rows:
        found = recheck(row)
        differing += bool(found)
        print("\n".join(map(str, found)) if found else f"{row.job.label}: as recorded")
    print(f"{len(rows) - differing} of {len(rows)} rows as recorded")
    return 1 if differing else 0


def write(path: Path, folder: Path | None) -> int:
    """Write the record as CSV."""
    rows = _rows(folder)
    try:
        export(rows, path)
    except OSError as error:
        raise Refused(f"{path} cannot be written ({error.strerror})") from error
    print(f"{path}: {len(rows)} rows")
    return 0


def _rows(folder: Path | None) -> list[Row]:
    try:
        return Record(folder).rows()
    except RecordError as error:
        raise Refused(str(error)) from error


def _estimate(rows: Sequence[Row], runs: dict[str, int], workers: int) -> str:
    number, seconds = sum(runs.values()), estimate(rows, runs, workers)
    if number == 0:
        return "the record is complete"
    took = "time unknown until each task has a row" if seconds is None else f"about {timedelta(seconds=round(seconds))}"
    return f"{len(rows)} rows are there, about {number} runs are left: {took} on {workers} workers"
