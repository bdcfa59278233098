"""Chapter 21's tables: what the record says of texts four times as long as the model's.

scores("recall")["LongLoRA"]     a row for each seed, a column for each measure of that world
table_of("recall")
"""

from collections.abc import Sequence

import numpy as np

from lorabook.arena.longer import FULL, LONGLORA, PLAIN, SHORT, UNTRAINED, WORLDS
from lorabook.arena.longer_record import Row, read, reported
from lorabook.book.shown import Shown, table

NOVELS = WORLDS["novels"]
"""The book's base and Austen's text, to be read 1,024 tokens at a time."""
SAID = {
    LONGLORA: ("norms, embedding", "groups, half of the heads shifted"),
    PLAIN: ("·", "groups, half of the heads shifted"),
    SHORT: ("norms, embedding", "groups, no shift: four short texts"),
    FULL: ("norms, embedding", "full attention"),
}
"""What trains beside LoRA, and under which attention."""


def scores(world: str, rows: Sequence[Row] | None = None) -> dict[str, np.ndarray]:
    """Return every reported score by name: seeds × measures."""
    found = reported(read() if rows is None else rows, WORLDS[world])
    return {name: np.array([row.scores for row in sorted(runs, key=_seed)]) for name, runs in found.items()}


def table_of(world: str, rows: Sequence[Row] | None = None) -> Shown:
    """Return a table: the base untrained, in each way, then the contenders, mean of the seeds ± half of what they span.

    Shares are in percent, losses in nats.
    """
    found, measures = scores(world, rows), WORLDS[world].measures
    head = ("", "trains beside LoRA", "attention in training", *measures)
    cells = [(f"not trained, {name}", "", "", *_entries(found[name], len(measures))) for name in UNTRAINED]
    cells += [(name, *SAID[name], *_entries(found[name], len(measures))) for name in WORLDS[world].names]
    return table(head, cells)


def _seed(row: Row) -> int:
    return row.seed


def _entries(runs: np.ndarray, measures: int) -> tuple[str, ...]:
    return tuple(_entry(runs[:, k], measures > 1) for k in range(measures))


def _entry(values: np.ndarray, share: bool) -> str:
    mean, half = values.mean(), (values.max() - values.min()) / 2
    spread = "" if len(values) == 1 else f" ±{100 * half:.0f}" if share else f" ±{half:.3f}"
    return f"{100 * mean:.0f}{spread}%" if share else f"{mean:.3f}{spread}"
