"""The record of texts four times as long: every contender at some rates, and at its best one on some seeds.

    python -c "from lorabook.arena.longer_record import record; record()"

trains what the file does not have yet. The best rate is the one with the best score on a seed of its own: the least
loss, or the most right answers far back.
"""

import datetime
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lorabook.arena.longer import UNTRAINED, WORLDS, World, train, untrained
from lorabook.arena.run import device, versions
from lorabook.models.fingerprint import fingerprint
from lorabook.models.paths import data_dir, data_file

FILE = "recorded/longer.jsonl"
TUNING_SEED = 100
DIGITS = 4
Key = tuple[str, str, float, int]


@dataclass(frozen=True)
class Row:
    """One run: its scores are the measures of its world; seed 100 is a run of the search for the rate."""

    world: str
    name: str
    lr: float
    seed: int
    scores: tuple[float, ...]
    base: str
    device: str
    versions: str
    date: str

    @property
    def key(self) -> Key:
        """What was asked for."""
        return self.world, self.name, self.lr, self.seed


def read(path: Path | None = None) -> list[Row]:
    """Return every recorded run."""
    lines = (path or data_file(FILE)).read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [Row(**{**row, "scores": tuple(row["scores"])}) for row in rows]


def tuned(rows: Sequence[Row], world: World, name: str) -> float | None:
    """Return the best of a contender's rates, None while one of them has not been tried."""
    last = {row.lr: row.scores[-1] for row in rows if row.key[:2] == (world.name, name) and row.seed == TUNING_SEED}
    if not set(world.rates) <= set(last):
        return None
    return min(last, key=lambda lr: last[lr] if len(world.measures) == 1 else -last[lr])


def asked(rows: Sequence[Row]) -> Iterator[Key]:
    """Yield every run that belongs to the record; those on the world's seeds once the rate of their contender is known."""
    for world in reversed(WORLDS.values()):
        yield from ((world.name, name, 0.0, 0) for name in UNTRAINED)
        yield from ((world.name, name, lr, TUNING_SEED) for name in world.names for lr in world.rates)
        for name in world.names:
            if (lr := tuned(rows, world, name)) is not None:
                yield from ((world.name, name, lr, seed) for seed in world.seeds)


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


def measure(world_name: str, name: str, lr: float, seed: int) -> Row:
    """Run once."""
    world = WORLDS[world_name]
    scores = untrained(world, name) if name in UNTRAINED else train(world, name, lr, seed)
    return Row(
        world_name, name, lr, seed, tuple(round(score, DIGITS) for score in scores), fingerprint(world.base), device(),
        versions(), datetime.date.today().isoformat(),
    )  # fmt: skip


def reported(rows: Sequence[Row], world: World) -> dict[str, list[Row]]:
    """Return the rows that are reported, by name: an untrained one alone, the others with their seeds."""
    found: dict[str, list[Row]] = {name: [] for name in (*UNTRAINED, *world.names)}
    for row in rows:
        if row.world == world.name and row.seed != TUNING_SEED:
            found[row.name].append(row)
    return found
