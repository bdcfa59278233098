"""LoRA-drop on the Bible at several thresholds, beside other choices with as many trained numbers: one file.

    python -c "from lorabook.arena.drop_runs import record; record()"

trains what the file does not have yet, about ten minutes in all. The first phase has the arena's rate, for it decides
who keeps an adapter. The rate of the second is tried in steps of √2 on the tuning seed, for each way and threshold,
until the best has a worse one on either side; that rate is trained again on the report seeds.
"""

import datetime
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from lorabook.arena.drop_ways import ALONE, EFFECT, WAYS, brief, second_phase
from lorabook.arena.job import TUNING_SEEDS
from lorabook.arena.run import device, versions
from lorabook.arena.tasks import KJV
from lorabook.models.paths import data_dir, data_file

THRESHOLDS = (0.3, 0.5, 0.7, 0.9)
ALL = 1.0
"""The threshold at which every layer keeps its own: all ways are one."""
PLACES = (*((way, t) for t in THRESHOLDS for way in WAYS), (EFFECT, ALL))
TUNING_SEED = TUNING_SEEDS[0]
REPORT_SEEDS = (0, 1, 2, 3, 4)
FIRST = 6
"""The search for a rate begins at √2⁶ × 10⁻³ = 0.008."""
FILE = "recorded/drops.jsonl"


@dataclass(frozen=True)
class DropRun:
    """One training: √2ˢᵗᵉᵖ × 10⁻³ as the second phase's rate, the base's loss, that at the end, and who kept.

    `kept` counts the layers in the model's order. Where all keep, `effect` and `size` are each layer's share of
    E‖ΔWx‖² and of ‖ΔW‖² after the first phase, which is the same for every way and threshold of a seed.
    """

    way: str
    t: float
    step: int
    seed: int
    start: float
    score: float
    trained: int
    kept: tuple[int, ...]
    effect: tuple[float, ...]
    size: tuple[float, ...]
    device: str
    versions: str
    date: str

    @property
    def key(self) -> tuple[str, float, int, int]:
        """What was asked for."""
        return self.way, self.t, self.step, self.seed


def rate(step: int) -> float:
    """Return √2ˢᵗᵉᵖ × 10⁻³."""
    return 1e-3 * 2 ** (step / 2)


def asked(runs: Sequence[DropRun]) -> Iterator[tuple[str, float, int, int]]:
    """Yield the runs that belong to the record, as far as they are known: the next rate follows from those before."""
    for way, t in PLACES:
        tried = _tried(runs, way, t)
        best = min(tried, key=tried.__getitem__, default=FIRST)
        near = (best, best - 1, best + 1) if tried else (FIRST,)
        yield from ((way, t, step, TUNING_SEED) for step in dict.fromkeys((*tried, *near)))
        if tuned(runs, way, t) is not None:
            yield from ((way, t, best, seed) for seed in REPORT_SEEDS)


def tuned(runs: Sequence[DropRun], way: str, t: float) -> int | None:
    """Return the step of the best rate of a way and threshold, None while a neighbour of it has not been tried."""
    tried = _tried(runs, way, t)
    best = min(tried, key=tried.__getitem__, default=None)
    return best if best is not None and {best - 1, best + 1} <= tried.keys() else None


def _tried(runs: Sequence[DropRun], way: str, t: float) -> dict[int, float]:
    """Return the loss of every rate that was tried on the tuning seed."""
    return {run.step: run.score for run in runs if (run.way, run.t, run.seed) == (way, t, TUNING_SEED)}


def record(path: Path | None = None) -> None:
    """Train what is missing in the file, and add a line for each run as it ends.

    Raises:
        Diverged: a loss is no number any more.
    """
    path = path or data_dir() / FILE
    while missing := next(_missing(path), None):
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(train(*missing)), ensure_ascii=False, separators=(",", ":")) + "\n")


def _missing(path: Path) -> Iterator[tuple[str, float, int, int]]:
    runs = read(path) if path.exists() else []
    done = {run.key for run in runs}
    return (key for key in asked(runs) if key not in done)


def read(path: Path | None = None) -> list[DropRun]:
    """Return every recorded run."""
    lines = (path or data_file(FILE)).read_text(encoding="utf-8").splitlines()
    return [
        DropRun(**{k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(line).items()}) for line in lines
    ]


def train(way: str, t: float, step: int, seed: int) -> DropRun:
    """Train once."""
    model, kept = second_phase(way, t, rate(step), seed)
    found = brief(seed)
    shares = [_rounded(found.effect), _rounded(found.size)] if t == ALL else [(), ()]
    names = list(found.effect)
    return DropRun(
        way, t, step, seed, _start(), round(KJV.score(model), 4), found.trained(kept, way != ALONE),
        tuple(sorted(map(names.index, kept))), *shares, device(), versions(), datetime.date.today().isoformat(),
    )  # fmt: skip


def _rounded(shares: dict[str, float]) -> tuple[float, ...]:
    return tuple(round(each, 6) for each in shares.values())


@cache
def _start() -> float:
    return round(KJV.score(KJV.base), 4)
