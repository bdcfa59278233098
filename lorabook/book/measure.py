"""The measure of a chapter: each number beside the most that its tier allows, minutes beside those its head states.

    minutes = words/150 + words of outputs/200 + lines of code/15 + cards + 5·explorers + exercises as stated + running

A pure function of the executed notebook: `lorabook build` adds the running time, which only a run has.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nbformat import NotebookNode

from lorabook.book.count import Counts, count
from lorabook.book.head import Head, head_of
from lorabook.book.prose import headings
from lorabook.book.tiers import SHORT

TOO_LONG = 1.25
"""Above this many times the stated minutes a build fails; above the stated ones it warns."""
FIXED = ("Predict", "See it", "Why", "Measured", "Exercises")
"""The headings that are the same in every chapter, in their order; all others are free."""
COLLAPSED = "jp-MarkdownHeadingCollapsed"
"""JupyterLab's mark of a heading whose section is folded away."""


@dataclass(frozen=True)
class Line:
    """One number, and the most it may be; None where nothing was there to be counted."""

    what: str
    number: float | None
    limit: float

    @property
    def over(self) -> bool:
        return self.number is not None and self.number > self.limit


@dataclass(frozen=True)
class Measure:
    """A chapter's numbers. `first_picture` is the minute at which the reader meets the first explorer."""

    head: Head
    counts: Counts
    controls: int
    first_picture: float | None
    headings: tuple[str, ...]
    seconds: float | None

    @property
    def minutes(self) -> float:
        return self.counts.reading + (self.head.tier.seconds if self.seconds is None else self.seconds) / 60

    @property
    def too_long(self) -> bool:
        return self.minutes > TOO_LONG * self.head.minutes

    def lines(self) -> list[Line]:
        """Return every number beside its limit."""
        counts, tier = self.counts, self.head.tier
        return [
            Line("minutes", self.minutes, self.head.minutes),
            Line("minutes stated", self.head.minutes, tier.minutes),
            Line("words of prose", counts.words, tier.words),
            Line("visible code lines", counts.code_lines, tier.code_lines),
            Line("import lines", counts.import_lines, tier.import_lines),
            Line("cards in the text", len(counts.cards), tier.cards),
            Line("misconceptions among them", counts.misconceptions, tier.misconceptions),
            Line("explorers", len(counts.explorers), tier.explorers),
            Line("controls seen at once", self.controls, tier.controls),
            Line("exercises", len(counts.exercises), tier.exercises),
            Line("minute of the first explorer", self.first_picture, tier.first_picture),
            Line("running seconds", self.seconds, tier.seconds),
        ]

    def faults(self) -> list[str]:
        """Return one sentence for each number above its limit and for each heading that is not the book's."""
        over = [f"{line.what}: {line.number:.4g}, at most {line.limit}" for line in self.lines() if line.over]
        return [*over, *heading_faults(self.headings, every=self.head.tier is not SHORT)]


def measure(notebook: NotebookNode, explorers: Mapping[str, int], seconds: float | None = None) -> Measure:
    """Measure an executed chapter.

    Args:
        explorers: how many controls each function that returns an explorer shows at once.
        seconds: how long it ran, if that is known.

    Raises:
        ValueError: the head is incomplete, or an exercise does not state its minutes.
    """
    open_cells = unfolded_cells(notebook.cells)
    whole, first = Counts(), None
    for cell in notebook.cells:
        own = count(cell, explorers)
        if not any(cell is other for other in open_cells):
            # What is folded is not read; its imports still run, and its cards are still the chapter's.
            own = Counts(import_lines=own.import_lines, folded_cards=own.cards + own.folded_cards)
        if own.explorers and first is None:
            first = whole.reading
        whole += own
    texts = [cell.source for cell in open_cells if cell.cell_type == "markdown"]
    level_two = [heading.text for text in texts for heading in headings(text) if heading.level == 2]
    controls = max((explorers[name] for name in whole.explorers), default=0)
    return Measure(head_of(notebook.cells[0].source), whole, controls, first, tuple(level_two), seconds)


def unfolded_cells(cells: Sequence[NotebookNode]) -> list[NotebookNode]:
    """Return the cells that stand under no collapsed heading; of a folded section the heading's own cell is seen."""
    shown, closed = [], None
    for cell in cells:
        first = next(iter(headings(cell.source)), None) if cell.cell_type == "markdown" else None
        if first and (closed is None or first.level <= closed.level):
            closed = first if cell.metadata.get(COLLAPSED) else None
            shown.append(cell)
            continue
        if closed is None:
            shown.append(cell)
    return shown


def heading_faults(found: Iterable[str], *, every: bool) -> list[str]:
    """Return what is wrong with the headings of level 2: one of the five in other words, out of order, or missing."""
    found = list(found)
    plain = {re.sub(r"^[\d\W]+", "", heading).casefold(): heading for heading in found}
    faults = [
        f"heading {heading!r}: write {fixed!r}"
        for words, heading in plain.items()
        for fixed in FIXED
        if re.match(rf"{fixed.casefold()}\b", words) and heading != fixed
    ]
    kept = [heading for heading in found if heading in FIXED]
    if kept != sorted(kept, key=FIXED.index):
        faults.append(f"the headings {', '.join(kept)} should come in the order {', '.join(FIXED)}")
    missing = [fixed for fixed in FIXED if fixed not in found]
    return faults + ([f"no heading {', '.join(missing)}"] if every and missing else [])
