"""The record of LoRAHub: every way on every new text, five seeds each; a seed draws the examples and the search.

    python -c "from lorabook.arena.hub_record import record; record()"

runs what the file does not have yet, in about eight minutes of one core. The bank of adapters is the same in all.
"""

import datetime
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lorabook.arena.hub_bank import LOOKS
from lorabook.arena.hub_texts import NEW
from lorabook.arena.hub_ways import ONCE, SEARCHED, TUNED, Outcome
from lorabook.arena.run import device, versions
from lorabook.models.paths import data_dir, data_file

SEEDS, TUNING_SEED = (0, 1, 2, 3, 4), 100
RATES = (1.25e-3, 2.5e-3, 5e-3)
"""The first that are tried."""
FILE = "recorded/hub.jsonl"
WAYS = {**ONCE, **SEARCHED, **TUNED}
Key = tuple[str, str, int, float]


@dataclass(frozen=True)
class Row:
    """One run: the new text, the way, its seed, its learning rate (0 where nothing is trained), and what came out."""

    text: str
    way: str
    seed: int
    lr: float
    outcome: Outcome
    device: str
    versions: str
    date: str

    @property
    def key(self) -> Key:
        """What was asked for."""
        return self.text, self.way, self.seed, self.lr


def asked(rows: Iterable[Row]) -> Iterator[Key]:
    """Give the keys that belong to the record as far as it has come: a reporting seed waits for the best rate."""
    rows = list(rows)
    for text in NEW:
        yield from ((text, way, 0, 0.0) for way in ONCE)
        yield from ((text, way, seed, 0.0) for way in SEARCHED for seed in SEEDS)
        for way in TUNED:
            yield from ((text, way, seed, lr) for seed, lr in _of_training(rows, text, way))


def _of_training(rows: Sequence[Row], text: str, way: str) -> Iterator[tuple[int, float]]:
    """Give seeds and rates: a search, further out while the best is the first or the last, then what is reported."""
    tried = {row.lr for row in rows if row.key[:3] == (text, way, TUNING_SEED)} | set(RATES)
    yield from ((TUNING_SEED, lr) for lr in sorted(tried))
    if tried <= {row.lr for row in rows if row.key[:3] == (text, way, TUNING_SEED)}:
        lr, _ = tuned(rows, text, way)
        if lr in (min(tried), max(tried)):
            yield TUNING_SEED, lr / 2 if lr == min(tried) else lr * 2
        else:
            yield from ((seed, lr) for seed in SEEDS)


def tuned(rows: Iterable[Row], text: str, way: str) -> tuple[float, int]:
    """Return the rate and the place in `LOOKS` that are best on the tuning seed."""
    found = [row for row in rows if (row.text, row.way, row.seed) == (text, way, TUNING_SEED)]
    return min(
        ((row.lr, look) for row in found for look in range(len(LOOKS))),
        key=lambda at: next(row for row in found if row.lr == at[0]).outcome.losses[at[1]],
    )


def losses(rows: Sequence[Row], text: str, way: str) -> list[float]:
    """Return the losses that are reported of a way, one a seed."""
    look = tuned(rows, text, way)[1] if way in TUNED else 0
    some = [row for row in rows if (row.text, row.way) == (text, way) and row.seed != TUNING_SEED]
    return [row.outcome.losses[look] for row in sorted(some, key=lambda row: row.seed)]


def record(path: Path | None = None) -> None:
    """Run what is missing in the file, and add a line for each run as it ends."""
    path = path or data_dir() / FILE
    rows = recorded(path) if path.exists() else []
    while missing := [key for key in asked(rows) if key not in {row.key for row in rows}]:
        for text, way, seed, lr in missing:
            outcome = _short(WAYS[way](text, seed, lr))
            row = Row(text, way, seed, lr, outcome, device(), versions(), datetime.date.today().isoformat())
            rows.append(row)
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(row), ensure_ascii=False, separators=(",", ":")) + "\n")


def recorded(path: Path | None = None) -> list[Row]:
    """Return every recorded row."""
    lines = (path or data_file(FILE)).read_text(encoding="utf-8").splitlines()
    return [_row(json.loads(line)) for line in lines]


def _short(outcome: Outcome) -> Outcome:
    seen = None if outcome.seen is None else round(outcome.seen, 4)
    return Outcome(tuple(round(x, 4) for x in outcome.losses), tuple(round(w, 3) for w in outcome.weights), seen)


def _row(entries: dict) -> Row:
    outcome = entries.pop("outcome")
    return Row(
        **entries, outcome=Outcome(tuple(outcome["losses"]), tuple(outcome["weights"]), outcome["seen"])
    )  # fmt: skip
