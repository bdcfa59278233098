"""LoRA on some of the seven matrices of a layer, with as many numbers as rank 8 on all of them: one file.

    python -c "from lorabook.arena.where_runs import record; record()"

trains what the file does not have yet, about half an hour in all. A run is the arena's own run of `KJV`, with its
warm-up and its clipping, and α = 16 at every rank. Each choice is tried at rates √2 apart on the tuning seed, until the
best has a worse one on either side; that rate is trained again on the report seeds.
"""

import copy
import datetime
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import torch

from lorabook.arena.job import TUNING_SEEDS
from lorabook.arena.method import Adapter, Training
from lorabook.arena.methods import BASELINE_RANK
from lorabook.arena.run import device, versions
from lorabook.arena.tasks import KJV
from lorabook.core.lora import LoRA
from lorabook.cost.count import layer_matrices, matched
from lorabook.models.decoder import DecoderConfig
from lorabook.models.paths import data_dir, data_file

ALPHA = 16
MATRICES = ("q", "k", "v", "o", "gate", "up", "down")
EVERYWHERE = ", ".join(MATRICES)
ATTENTION, MLP = ", ".join(MATRICES[:4]), ", ".join(MATRICES[4:])
CHOICES = (
    *(", ".join(some) for n in (1, 2) for some in itertools.combinations(MATRICES, n)),
    ATTENTION,
    MLP,
    *(", ".join(some) for some in itertools.combinations(MATRICES, 6)),
    EVERYWHERE,
)
"""The 38 of 127 that are trained: every one, every two, attention, the MLP, all but one, all.

A choice is written as its matrices' names, in the order of `MATRICES`."""
TUNING_SEED = TUNING_SEEDS[0]
REPORT_SEEDS = (0, 1, 2)
FIRST = 8
"""The search for a rate begins at √2⁸ × 10⁻³ = 0.016."""
FILE = "recorded/where.jsonl"


@dataclass(frozen=True)
class WhereRun:
    """One training: which matrices, their rank, √2ˢᵗᵉᵖ × 10⁻³ as the rate, the loss of the base and at the end."""

    where: str
    r: int
    step: int
    seed: int
    start: float
    score: float
    device: str
    versions: str
    date: str

    @property
    def key(self) -> tuple[str, int, int]:
        """What was asked for."""
        return self.where, self.step, self.seed


def rate(step: int) -> float:
    """Return √2ˢᵗᵉᵖ × 10⁻³."""
    return 1e-3 * 2 ** (step / 2)


def targets_of(where: str) -> str:
    """Return the regular expression that finds these matrices."""
    return "|".join(f"{name}_proj" for name in where.split(", "))


def rank_for(where: str, shape: DecoderConfig) -> int:
    """Return the rank at which LoRA on these matrices trains a number nearest to that of rank 8 on all seven.

    A matrix has no room for a rank above its shorter side: k and v alone stay below the budget in the book's model.
    """
    chosen = matched(shape, targets_of(where)).values()
    goal = BASELINE_RANK * sum(map(sum, layer_matrices(shape).values()))
    return min(round(goal / sum(map(sum, chosen))), *map(min, chosen))


def asked(runs: Sequence[WhereRun]) -> Iterator[tuple[str, int, int]]:
    """Yield the runs that belong to the record, as far as they are known: the next rate follows from those before."""
    for where in CHOICES:
        tried = _tried(runs, where)
        best = min(tried, key=tried.__getitem__, default=FIRST)
        near = (best, best - 1, best + 1) if tried else (FIRST,)
        yield from ((where, step, TUNING_SEED) for step in dict.fromkeys((*tried, *near)))
        if tuned(runs, where) is not None:
            yield from ((where, best, seed) for seed in REPORT_SEEDS)


def tuned(runs: Sequence[WhereRun], where: str) -> int | None:
    """Return the step of the best rate of a choice, None while a neighbour of it has not been tried."""
    tried = _tried(runs, where)
    best = min(tried, key=tried.__getitem__, default=None)
    return best if best is not None and {best - 1, best + 1} <= tried.keys() else None


def _tried(runs: Sequence[WhereRun], where: str) -> dict[int, float]:
    """Return the loss of every rate that was tried on the tuning seed."""
    return {run.step: run.score for run in runs if (run.where, run.seed) == (where, TUNING_SEED)}


def record(path: Path | None = None) -> None:
    """Train what is missing in the file, and add a line for each run as it ends.

    Raises:
        Diverged: a loss is no number any more.
    """
    path = path or data_dir() / FILE
    while missing := next(_missing(path), None):
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(train(*missing)), ensure_ascii=False, separators=(",", ":")) + "\n")


def _missing(path: Path) -> Iterator[tuple[str, int, int]]:
    runs = read(path) if path.exists() else []
    done = {run.key for run in runs}
    return (key for key in asked(runs) if key not in done)


def read(path: Path | None = None) -> list[WhereRun]:
    """Return every recorded run."""
    lines = (path or data_file(FILE)).read_text(encoding="utf-8").splitlines()
    return [WhereRun(**json.loads(line)) for line in lines]


def train(where: str, step: int, seed: int) -> WhereRun:
    """Train once."""
    model, r = copy.deepcopy(KJV.base), rank_for(where, KJV.base.config)
    method = Adapter(where, lambda r: LoRA(r, ALPHA), within=targets_of(where))
    method.prepare(model, KJV.targets, r, torch.Generator().manual_seed(seed))
    torch.manual_seed(seed)
    method.train(model, Training(KJV.stream(seed), KJV.steps, rate(step), KJV.loss, lambda _step, _loss: None))
    today = datetime.date.today().isoformat()
    return WhereRun(where, r, step, seed, _start(), round(KJV.score(model), 4), device(), versions(), today)


@cache
def _start() -> float:
    return round(KJV.score(KJV.base), 4)
