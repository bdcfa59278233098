"""The record of texts four times as long: every contender at some rates, and at its best one on ten seeds.

    python -c "from lorabook.arena.longer_record import record; record()"

trains what the file does not have yet. The best rate is the one with the most right answers far back, on a seed of its
own.
"""

import datetime
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lorabook.arena.longer import CONTENDERS, KNOWN, LENGTH, OWN, UNTRAINED, base, score, train, untrained
from lorabook.arena.run import device, versions
from lorabook.models.fingerprint import fingerprint
from lorabook.models.paths import data_dir, data_file

FILE = "recorded/longer.jsonl"
RATES = (2.5e-3, 5e-3)
SEEDS, TUNING_SEED = range(10), 100
DIGITS = 4
Key = tuple[str, float, int]


@dataclass(frozen=True)
class Row:
    """One run: the shares of right answers, near and far; seed 100 is a run of the search for the rate."""

    name: str
    lr: float
    seed: int
    near: float
    far: float
    base: str
    device: str
    versions: str
    date: str

    @property
    def key(self) -> Key:
        """What was asked for."""
        return self.name, self.lr, self.seed


def read(path: Path | None = None) -> list[Row]:
    """Return every recorded run."""
    lines = (path or data_file(FILE)).read_text(encoding="utf-8").splitlines()
    return [Row(**json.loads(line)) for line in lines]


def tuned(rows: Sequence[Row], name: str) -> float | None:
    """Return the best of a contender's rates, None while one of them has not been tried."""
    far = {row.lr: row.far for row in rows if row.name == name and row.seed == TUNING_SEED}
    return max(far, key=far.__getitem__) if set(RATES) <= set(far) else None


def asked(rows: Sequence[Row]) -> Iterator[Key]:
    """Yield every run that belongs to the record; those on `SEEDS` once the rate of their contender is known."""
    yield from ((name, 0.0, 0) for name in UNTRAINED)
    yield from ((name, lr, TUNING_SEED) for name in CONTENDERS for lr in RATES)
    for name in CONTENDERS:
        if (lr := tuned(rows, name)) is not None:
            yield from ((name, lr, seed) for seed in SEEDS)


def record(path: Path | None = None) -> None:
    """Train what is missing in the file, and add a line for each run as it ends.

    Raises:
        Diverged: a loss is no number any more.
    """
    path = path or data_dir() / FILE
    while (missing := next(_missing(path), None)) is not None:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(measure(*missing)), ensure_ascii=False, separators=(",", ":")) + "\n")


def _missing(path: Path) -> Iterator[Key]:
    rows = read(path) if path.exists() else []
    done = {row.key for row in rows}
    return (key for key in asked(rows) if key not in done)


def measure(name: str, lr: float, seed: int) -> Row:
    """Run once."""
    model = untrained(name) if name in UNTRAINED else train(name, lr, seed)
    found = score(model, KNOWN if name == OWN else LENGTH)
    return Row(
        name, lr, seed, round(found.near, DIGITS), round(found.far, DIGITS), fingerprint(base()), device(), versions(),
        datetime.date.today().isoformat(),
    )  # fmt: skip


def reported(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the rows that are reported, by name and in the order of their seeds: of an untrained one there is one."""
    found: dict[str, list[Row]] = {name: [] for name in (*UNTRAINED, *CONTENDERS)}
    for row in sorted(rows, key=lambda row: row.seed):
        if row.seed != TUNING_SEED:
            found[row.name].append(row)
    return found
