"""What the arena has not run of bottleneck adapters and prefixes: low rates, where little is forgotten, and the start.

    python -c "from lorabook.arena.baseline_runs import record; record()"

runs what the file does not have yet, a minute or two in all. A run is the arena's own of `KJV`; at rate 0 nothing is
trained: a prefix changes the model before its first step.
"""

import copy
import datetime
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from lorabook.arena.budget import method_named, size_of
from lorabook.arena.job import TUNING_SEEDS, Job
from lorabook.arena.run import device, run, versions
from lorabook.arena.tasks import KJV
from lorabook.models.paths import data_dir, data_file

BUDGETS = ("equal", "own")
LOW = {"bottleneck": (2.5e-4, 5e-4, 1e-3), "prefix": (0.0,)}
FILE = "recorded/baselines.jsonl"


@dataclass(frozen=True)
class BaselineRun:
    """One run: the loss on new verses, and how far that on the base's own text is above the base's."""

    method: str
    budget: str
    lr: float
    seed: int
    score: float
    forgotten: float
    device: str
    versions: str
    date: str

    @property
    def key(self) -> tuple[str, str, float, int]:
        """What was asked for."""
        return self.method, self.budget, self.lr, self.seed


def asked() -> list[tuple[str, str, float, int]]:
    """Return every run that belongs to the record."""
    return [
        (method, budget, lr, seed)
        for method, rates in LOW.items()
        for budget in BUDGETS
        for lr in rates
        for seed in TUNING_SEEDS
    ]


def record(path: Path | None = None) -> None:
    """Run what is missing in the file, and add a line for each run as it ends."""
    path = path or data_dir() / FILE
    done = {each.key for each in read(path)} if path.exists() else set()
    for key in asked():
        if key not in done:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(measure(*key)), separators=(",", ":")) + "\n")


def read(path: Path | None = None) -> list[BaselineRun]:
    """Return every recorded run."""
    lines = (path or data_file(FILE)).read_text(encoding="utf-8").splitlines()
    return [BaselineRun(**json.loads(line)) for line in lines]


def measure(method: str, budget: str, lr: float, seed: int) -> BaselineRun:
    """Train and score once, or score what has not been trained."""
    if lr:
        row = run(Job(method, KJV.name, budget, lr, seed))
        score, forgotten = row.score, row.forgotten
    else:
        model, contender = copy.deepcopy(KJV.base), method_named(method)
        size = size_of(contender, KJV, budget)
        contender.prepare(model, KJV.targets, size, torch.Generator().manual_seed(seed))
        score, forgotten = KJV.score(model), KJV.old(model) - KJV.old(KJV.base)
    today = datetime.date.today().isoformat()
    return BaselineRun(method, budget, lr, seed, round(score, 5), round(forgotten, 5), device(), versions(), today)
