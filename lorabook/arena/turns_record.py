"""The record of three texts in turn: every way to go on, at some rates, and at its own best rate on three seeds.

Every way is tried at `RATES`, rank by rank, on a seed of its own, and further out while the best is the first or the
last. The best is the one with the least mean loss over the three texts at the end.
"""

import datetime
import json
import platform
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from lorabook.arena.turns import PENALISED_MORE, WAYS, Run, learn
from lorabook.models.fingerprint import fingerprint
from lorabook.models.load import load
from lorabook.models.paths import data_dir, data_file

FILE = "recorded/turns.jsonl"
WAYS_AT = {8: tuple(way for way in WAYS if way != PENALISED_MORE), 64: tuple(WAYS)}
"""What is recorded, by rank."""
SEEDS, TUNING_SEED = (0, 1, 2), 100
RATES = (3.125e-4, 6.25e-4, 1.25e-3, 2.5e-3)
DIGITS = 5


@dataclass(frozen=True)
class Row:
    """One run of the record, with what is needed to run it again; seed 100 is a run of the search for the rate."""

    way: str
    r: int
    lr: float
    seed: int
    run: Run
    seconds: float
    base: str
    device: str
    versions: str
    date: str


def read(path: Path | None = None) -> list[Row]:
    """Return the rows.

    Raises:
        FileNotFoundError: the file is missing.
    """
    lines = (path or data_file(FILE)).read_text(encoding="utf-8").splitlines()
    return [_row(json.loads(line)) for line in lines]


def reported(rows: Iterable[Row]) -> dict[tuple[str, int], list[Row]]:
    """Return the rows of the seeds that are reported, at the best rate of each way and rank."""
    found: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        if row.seed != TUNING_SEED:
            found.setdefault((row.way, row.r), []).append(row)
    return found


def record(path: Path | None = None) -> None:
    """Run what the file does not hold yet, and write a line for each run as it ends (about a quarter of an hour)."""
    path = path or data_dir() / FILE
    done = {(row.way, row.r, row.lr, row.seed): row for row in (read(path) if path.is_file() else [])}

    def run(way: str, r: int, lr: float, seed: int) -> Row:
        key = (way, r, lr, seed)
        if key not in done:
            done[key] = _measure(*key)
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(done[key]), ensure_ascii=False, separators=(",", ":")) + "\n")
        return done[key]

    for r, ways in WAYS_AT.items():
        for way in ways:
            lr = _tuned(lambda lr, r=r, way=way: at_the_end(run(way, r, lr, TUNING_SEED).run))
            for seed in SEEDS:
                run(way, r, lr, seed)


def at_the_end(run: Run) -> float:
    """Return the mean loss of the three texts after the last task."""
    last = [row[-1] for row in run.matrix[1:]]
    return sum(last) / len(last)


def forgotten(run: Run) -> list[float]:
    """Return, for each task but the last, its loss after the last task minus its loss right after it was learned."""
    return [run.matrix[t][-1] - run.matrix[t][t] for t in range(1, len(run.matrix) - 1)]


def learned(run: Run) -> float:
    """Return the mean loss of the three texts, each right after it was learned."""
    return sum(run.matrix[t][t] for t in range(1, len(run.matrix))) / (len(run.matrix) - 1)


def _tuned(loss: Callable[[float], float]) -> float:
    tried = {lr: loss(lr) for lr in RATES}
    while (best := min(tried, key=tried.get)) in (min(tried), max(tried)):
        further = best / 2 if best == min(tried) else best * 2
        tried[further] = loss(further)
    return best


def _measure(way: str, r: int, lr: float, seed: int) -> Row:
    began = time.perf_counter()
    run = learn(WAYS[way], r, lr, seed)
    short = Run(
        tuple(tuple(round(x, DIGITS) for x in row) for row in run.matrix),
        tuple(round(x, DIGITS) for x in run.inside),
        round(run.reached, DIGITS),
    )
    return Row(
        way, r, lr, seed, short, round(time.perf_counter() - began, 1), fingerprint(load("tiny").model),
        f"CPU ({platform.machine()})", f"torch {torch.__version__}, Python {platform.python_version()}",
        datetime.date.today().isoformat(),
    )  # fmt: skip


def _row(entries: dict) -> Row:
    run = entries.pop("run")
    return Row(**entries, run=Run(tuple(map(tuple, run["matrix"])), tuple(run["inside"]), run["reached"]))
