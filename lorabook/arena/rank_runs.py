"""LoRA at every rank under α/r and under α/√r, α fixed, at every rate: whole curves on the Bible, kept in one file.

    python -c "from lorabook.arena.rank_runs import record; record(seeds=(0, 1))"

trains what the file does not have yet. A run is the arena's own run of `KJV`, with its warm-up and its clipping: rank 8
under α/r is the contender "LoRA", and ends at the arena's number.
"""

import copy
import datetime
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import torch

from lorabook.arena.method import Adapter, Training
from lorabook.arena.run import device, versions
from lorabook.arena.tasks import KJV
from lorabook.axes.scale.rslora import AlphaOverRootR
from lorabook.core.lora import AlphaOverR
from lorabook.core.recipe import Recipe, Scale
from lorabook.models.paths import data_dir, data_file

ALPHA = 16
RANKS = (1, 2, 4, 8, 16, 32, 64)
RATES = (1e-3, 2e-3, 2.8e-3, 4e-3, 5.7e-3, 8e-3, 1.1e-2, 1.6e-2)
"""About a √2 apart where the best ones lie: half a doubling off costs more than the two scales differ."""
PLAIN, ROOT = "α/r", "α/√r"
SCALES: dict[str, Scale] = {PLAIN: AlphaOverR(), ROOT: AlphaOverRootR()}
STEPS = (1, 2, 3, 4, 6, 8, 10, 15, 20, 30, 40, 50, 60)
"""After how many steps the validation loss is taken; the arena's warm-up ends with the sixth."""
FILE = "recorded/ranks.jsonl"


@dataclass(frozen=True)
class RankRun:
    """One training: the task's score of the base, and after each of `STEPS`."""

    scale: str
    r: int
    lr: float
    seed: int
    start: float
    curve: tuple[float, ...]
    device: str
    versions: str
    date: str

    @property
    def key(self) -> tuple[str, int, float, int]:
        """What was asked for."""
        return self.scale, self.r, self.lr, self.seed


def asked(seeds: Iterable[int]) -> list[tuple[str, int, float, int]]:
    """Return every run that belongs to the record; at r = 1 both scales are α, and it runs once."""
    kinds = [(scale, r) for r in RANKS for scale in SCALES if r > 1 or scale == PLAIN]
    return [(scale, r, lr, seed) for seed in seeds for lr in RATES for scale, r in kinds]


def record(seeds: Iterable[int], path: Path | None = None) -> None:
    """Train what is missing in the file, and add a line for each run as it ends.

    Raises:
        Diverged: a loss is no number any more.
    """
    path = path or data_dir() / FILE
    done = {each.key for each in read(path)} if path.exists() else set()
    for key in asked(seeds):
        if key not in done:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(train(*key)), ensure_ascii=False, separators=(",", ":")) + "\n")


def read(path: Path | None = None) -> list[RankRun]:
    """Return every recorded run."""
    lines = (path or data_file(FILE)).read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [RankRun(**{**row, "curve": tuple(row["curve"])}) for row in rows]


def train(scale: str, r: int, lr: float, seed: int) -> RankRun:
    """Train once, and measure on the way."""
    model, curve = copy.deepcopy(KJV.base), []
    method = Adapter(scale, lambda r: Recipe(r, ALPHA, scale=SCALES[scale]))
    method.prepare(model, KJV.targets, r, torch.Generator().manual_seed(seed))

    def measured(step: int, _loss: float) -> None:
        if step + 1 in STEPS:
            curve.append(round(KJV.score(model), 4))

    torch.manual_seed(seed)
    method.train(model, Training(KJV.stream(seed), KJV.steps, lr, KJV.loss, measured))
    today = datetime.date.today().isoformat()
    return RankRun(scale, r, lr, seed, _start(), tuple(curve), device(), versions(), today)


@cache
def _start() -> float:
    return round(KJV.score(KJV.base), 4)
