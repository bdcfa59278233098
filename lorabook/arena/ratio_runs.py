"""LoRA on the Bible with η_B = λη_A, at ratios on both sides of 1, each at several rates: kept in one file.

    python -c "from lorabook.arena.ratio_runs import record; record()"

trains what the file does not have yet, in ten minutes of one core. A run is the arena's own run of `KJV`: λ = 1 is the
contender "LoRA", and λ = 16 the contender "LoRA+".
"""

import copy
import datetime
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from lorabook.arena.rate_runs import ALPHA, R, train_apart
from lorabook.arena.run import device, versions
from lorabook.arena.tasks import KJV
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.models.paths import data_dir, data_file

RATIOS = (1 / 16, 1 / 4, 1.0, 4.0, 16.0)
MEANS = tuple(4e-3 * 2 ** (k / 2) for k in range(5))
"""√(η_A·η_B). At one mean and under Adam, to change λ is to change the size of A's start, and nothing else."""
SEEDS = (0, 1, 2)
FILE = "recorded/ratios.jsonl"


@dataclass(frozen=True)
class RatioRun:
    """One training: the task's score after it."""

    ratio: float
    mean: float
    seed: int
    score: float
    device: str
    versions: str
    date: str

    @property
    def key(self) -> tuple[float, float, int]:
        """What was asked for."""
        return self.ratio, self.mean, self.seed


def asked() -> list[tuple[float, float, int]]:
    """Return every run that belongs to the record."""
    return [(ratio, mean, seed) for seed in SEEDS for ratio in RATIOS for mean in MEANS]


def record(path: Path | None = None) -> None:
    """Train what is missing in the file, and add a line for each run as it ends.

    Raises:
        Diverged: a loss is no number any more.
    """
    path = path or data_dir() / FILE
    done = {each.key for each in recorded(path)} if path.exists() else set()
    for key in asked():
        if key not in done:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(train(*key)), separators=(",", ":")) + "\n")


def recorded(path: Path | None = None) -> list[RatioRun]:
    """Return every recorded run."""
    lines = (path or data_file(FILE)).read_text(encoding="utf-8").splitlines()
    return [RatioRun(**json.loads(line)) for line in lines]


def train(ratio: float, mean: float, seed: int) -> RatioRun:
    """Train once."""
    model = copy.deepcopy(KJV.base)
    inject(model, LoRA(R, ALPHA), KJV.targets, torch.Generator().manual_seed(seed))
    torch.manual_seed(seed)
    train_apart(model, (mean / ratio**0.5, mean * ratio**0.5), KJV.stream(seed), KJV.steps)
    today = datetime.date.today().isoformat()
    return RatioRun(ratio, mean, seed, round(KJV.score(model), 4), device(), versions(), today)
