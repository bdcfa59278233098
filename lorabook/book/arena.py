"""`lorabook arena` from the command line: what it prints, and its exit status."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from lorabook.arena.answers import work_out
from lorabook.arena.answers import write as write_answers
from lorabook.arena.budget import BUDGETS, method_named, task_named
from lorabook.arena.experiment import Experiment
from lorabook.arena.experiments import EXPERIMENTS
from lorabook.arena.job import Row
from lorabook.arena.methods import BASELINE, METHODS
from lorabook.arena.plan import Place, left, next_jobs, places
from lorabook.arena.recheck import chosen, recheck
from lorabook.arena.record import Record, RecordError
from lorabook.arena.summary import summaries
from lorabook.arena.sweep import SweepError, estimate, sweep
from lorabook.arena.table import export, table
from lorabook.arena.tasks import ON_SMOLLM2, TASKS
from lorabook.book.refused import Refused
from lorabook.models import smollm2


def run_sweep(
    only: Sequence[str], tasks: Sequence[str], budget: str | None, experiments: Sequence[str], workers: int,
    scheduler: str | None, folder: Path | None, dry: bool,
) -> int:  # fmt: skip
    """Run what the record lacks, or say what that is; 1 if a run was lost.

    Raises:
        Refused: a name is unknown, or the sweep or the record says why it cannot.
    """
    try:
        asked, curves = _asked(only, tasks, budget, experiments)
        record = Record(folder)
        rows = record.rows()
        print(_estimate(rows, left(rows, asked, curves), workers))
        if dry:
            for job in next_jobs(rows, asked, curves):
                print(f"  {job.label}")
            return 0
        lost = sweep(record, asked, curves, workers, scheduler)
    except (RecordError, SweepError, ValueError) as error:
        raise Refused(str(error)) from error
    for job in lost:
        print(f"lost: {job.label}")
    return 1 if lost else 0


def _asked(
    only: Sequence[str], tasks: Sequence[str], budget: str | None, experiments: Sequence[str]
) -> tuple[list[Place], list[Place]]:
    """Return who is to run, and who at all rates of a curve: everything there is, unless something is named."""
    chosen = [_experiment(name) for name in experiments]
    if only or tasks or budget or not experiments:
        methods = [method_named(name) for name in dict.fromkeys([BASELINE, *only])] if only else list(METHODS)
        where = [task_named(name) for name in tasks] or list(TASKS)
        asked = places(methods, where, [budget] if budget else list(BUDGETS))
    else:
        asked = []
    if not (only or tasks or budget or experiments):
        chosen = list(EXPERIMENTS)
    asked += [place for experiment in chosen for place in experiment.places]
    if not smollm2.installed() and any(place.task == ON_SMOLLM2.name for place in asked):
        print(f"without SmolLM2's weights {ON_SMOLLM2.name} is left out: {smollm2.INSTALL}")
        asked = [place for place in asked if place.task != ON_SMOLLM2.name]
    return asked, [place for experiment in chosen for place in experiment.curves]


def _experiment(name: str) -> Experiment:
    for experiment in EXPERIMENTS:
        if experiment.name == name:
            return experiment
    raise ValueError(f"no experiment is called {name!r}; they are {', '.join(each.name for each in EXPERIMENTS)}")


def answers(folder: Path | None) -> int:
    """Work out what the record answers, print it and keep it beside the rows."""
    found = work_out(_rows(folder))
    for each in found.questions:
        print(f"{each.question}\n  {each.verdict}: {each.says}")
    print(write_answers(found, Record(folder).folder))
    return 0


def show(folder: Path | None) -> int:
    """Print what the record says of every contender whose rate is known."""
    found = summaries(_rows(folder))
    print(table(found) if found else "the record has no contender whose rate is known yet: run `lorabook arena`")
    return 0


def check(number: int, seed: int, folder: Path | None) -> int:
    """Run so many rows again; 1 if one differs from the record."""
    rows = _rows(folder)
    if not smollm2.installed():
        rows = [row for row in rows if row.task != ON_SMOLLM2.name]
    rows = chosen(rows, number, seed)
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
