"""What `lorabook measure` prints, and what `lorabook build` says of the chapter that it has just run."""

import dataclasses
import inspect
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from lorabook.book.chapters import chapters, find_chapter
from lorabook.book.explore.state import folded_names
from lorabook.book.measure import Measure, measure
from lorabook.book.refused import Refused
from lorabook.book.timing import seconds_of, waits

TABLES = {"measured"}
"""Explorers that are read, not explored: every chapter has one besides those that its tier allows."""


def explorers() -> dict[str, int]:
    """Return every function of a chapter that returns an explorer, and how many controls it shows."""
    from lorabook.book import reading
    from lorabook.book.explore.explorer import Explorer

    made = [f for f in vars(reading).values() if inspect.isfunction(f)]
    return {
        f.__name__: _seen(sys.modules[f.__module__].State)
        for f in made
        if inspect.signature(f).return_annotation is Explorer and f.__name__ not in TABLES
    }


def _seen(state: type) -> int:
    return len(dataclasses.fields(state)) - len(folded_names(state))


def of_built(name: str, folder: Path, moved: dict[str, int]) -> Measure:
    """Measure a chapter as it lies in `folder`; its running time is not known.

    Raises:
        Refused: it cannot be measured.
    """
    return _measured(name, nbformat.read(folder / f"{name}.ipynb", as_version=4), moved, None)


def keep_measure(name: str, kept: list[Measure], notebook: NotebookNode) -> None:
    """Measure a chapter that has just been executed, print what is above its measure, and keep it.

    Raises:
        Refused: it cannot be measured.
    """
    found = _measured(name, notebook, explorers(), sum(map(seconds_of, notebook.cells)))
    print(f"  {found.minutes:.0f} of {found.head.minutes} minutes, running {found.seconds:.0f} s", flush=True)
    for fault in [*found.faults(), *waits(notebook)]:
        print(f"  ✗ {fault}", flush=True)
    kept.append(found)


def _measured(name: str, notebook: NotebookNode, moved: dict[str, int], seconds: float | None) -> Measure:
    try:
        return measure(notebook, moved, seconds)
    except ValueError as error:
        raise Refused(f"{name} cannot be measured: {error}") from error


def table(found: Measure) -> str:
    """Return a chapter's numbers for a terminal, each beside its limit; ✗ is above it."""
    tier = found.head.tier
    rows = [f"{found.head.title} ({tier.name})"]
    for line in found.lines():
        number = "–" if line.number is None else f"{line.number:.1f}".removesuffix(".0")
        rows.append(f"  {'✗' if line.over else ' '} {line.what:30}{number:>8}{line.limit:>8}")
    rows += [f"  ✗ {fault}" for fault in found.faults() if "heading" in fault]
    return "\n".join(rows)


def report(folder: Path, wanted: str | None) -> int:
    """Print the measure of one chapter, or of all; return 1 when a number is above its limit.

    Raises:
        Refused: there is no such chapter, or one cannot be measured.
    """
    names = [find_chapter(wanted, folder)] if wanted else chapters(folder)
    moved = explorers()
    measures = [of_built(name, folder, moved) for name in names]
    print("\n\n".join(map(table, measures)))
    return int(any(found.faults() for found in measures))
