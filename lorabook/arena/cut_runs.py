"""One training for all ranks: DyLoRA and LoRA of rank 8, cut to every smaller rank, beside LoRA trained at that rank.

    python -c "from lorabook.arena.cut_runs import record; record()"

trains what the file does not have yet. A run is the arena's own run of `KJV`, with its warm-up and its clipping. A side
is tried at each of its rates on the tuning seeds; the rate with the lowest loss, mean over the ranks that it serves, is
trained on the report seeds, and cut there in every way.
"""

import copy
import datetime
import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import torch
from torch import nn

from lorabook.arena.cuts import CUTS, NESTED, SVD, cut
from lorabook.arena.job import TUNING_SEEDS
from lorabook.arena.method import Adapter, Training
from lorabook.arena.run import device, versions
from lorabook.arena.tasks import KJV
from lorabook.axes.rule.dylora import DyLoRA, FrozenDyLoRA
from lorabook.core.lora import LoRA
from lorabook.core.recipe import Recipe
from lorabook.models.paths import data_dir, data_file

R = 8
REPORT_SEEDS = (0, 1, 2)
FILE = "recorded/cuts.jsonl"


@dataclass(frozen=True)
class Side:
    """What is trained, at which rank, the rates that are tried, √2 apart, and the cut that they are judged by."""

    recipe: Callable[[int, float], Recipe]
    r: int
    rates: tuple[float, ...]
    tuned_for: str


def rates(first: int, last: int) -> tuple[float, ...]:
    """Return √2ᵏ × 10⁻³ for k from first to last."""
    return tuple(1e-3 * 2 ** (k / 2) for k in range(first, last + 1))


DYLORA, FROZEN, PLAIN = "DyLoRA", "frozen DyLoRA", "LoRA"
SIDES: dict[str, Side] = {
    DYLORA: Side(DyLoRA, R, rates(2, 6), NESTED),
    FROZEN: Side(FrozenDyLoRA, R, rates(4, 7), NESTED),
    PLAIN: Side(LoRA, R, rates(4, 7), SVD),
    "LoRA r=4": Side(LoRA, 4, rates(5, 8), SVD),
    "LoRA r=2": Side(LoRA, 2, rates(6, 9), SVD),
    "LoRA r=1": Side(LoRA, 1, rates(7, 10), SVD),
}
"""α is 2r in all of them, as in the arena."""


@dataclass(frozen=True)
class CutRun:
    """One training: the task's score of the base, and by kind of cut that at each rank from 1 to r.

    A tuning run has the cut alone that its rate is chosen for; LoRA of a smaller rank is served as it is.
    """

    side: str
    lr: float
    seed: int
    start: float
    scores: dict[str, list[float]]
    device: str
    versions: str
    date: str

    @property
    def key(self) -> tuple[str, float, int]:
        """What was asked for."""
        return self.side, self.lr, self.seed


def asked(runs: Sequence[CutRun]) -> Iterator[tuple[str, float, int]]:
    """Yield every run that belongs to the record; those on report seeds once the rate of their side is known."""
    for name, side in SIDES.items():
        yield from ((name, lr, seed) for lr in side.rates for seed in TUNING_SEEDS)
    for name in SIDES:
        if (lr := tuned(runs, name)) is not None:
            yield from ((name, lr, seed) for seed in REPORT_SEEDS)


def mean_loss(runs: Sequence[CutRun], name: str, lr: float) -> float | None:
    """Return the mean over tuning seeds and served ranks; LoRA trained for one rank counts there alone."""
    at = [run.scores[SIDES[name].tuned_for] for run in runs if run.key[:2] == (name, lr) and run.seed in TUNING_SEEDS]
    served = [scores if name in (DYLORA, FROZEN, PLAIN) else scores[-1:] for scores in at]
    return statistics.fmean(sum(served, [])) if len(served) == len(TUNING_SEEDS) else None


def tuned(runs: Sequence[CutRun], name: str) -> float | None:
    """Return the rate of a side, None while one of them has not been tried."""
    means = {lr: mean_loss(runs, name, lr) for lr in SIDES[name].rates}
    known = {lr: mean for lr, mean in means.items() if mean is not None}
    return min(known, key=known.__getitem__) if len(known) == len(means) else None


def record(path: Path | None = None) -> None:
    """Train what is missing in the file, and add a line for each run as it ends.

    Raises:
        Diverged: a loss is no number any more.
    """
    path = path or data_dir() / FILE
    while missing := next(_missing(path), None):
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(train(*missing)), ensure_ascii=False, separators=(",", ":")) + "\n")


def _missing(path: Path) -> Iterator[tuple[str, float, int]]:
    runs = read(path) if path.exists() else []
    done = {run.key for run in runs}
    return (key for key in asked(runs) if key not in done)


def read(path: Path | None = None) -> list[CutRun]:
    """Return every recorded run."""
    lines = (path or data_file(FILE)).read_text(encoding="utf-8").splitlines()
    return [CutRun(**json.loads(line)) for line in lines]


def train(name: str, lr: float, seed: int) -> CutRun:
    """Train once, and measure every cut."""
    side, model = SIDES[name], copy.deepcopy(KJV.base)
    method = Adapter(name, lambda r: side.recipe(r, 2 * r))
    method.prepare(model, KJV.targets, side.r, torch.Generator().manual_seed(seed))
    torch.manual_seed(seed)
    method.train(model, Training(KJV.stream(seed), KJV.steps, lr, KJV.loss, lambda _step, _loss: None))
    kinds = [side.tuned_for] if seed in TUNING_SEEDS or side.r < R else list(CUTS)
    scores = {kind: _scores(model, kind, range(side.r if side.r < R else 1, side.r + 1)) for kind in kinds}
    today = datetime.date.today().isoformat()
    return CutRun(name, lr, seed, _start(), scores, device(), versions(), today)


def _scores(model: nn.Module, kind: str, ranks: range) -> list[float]:
    found = []
    for b in ranks:
        with cut(model, kind, b):
            found.append(round(KJV.score(model), 4))
    return found


@cache
def _start() -> float:
    return round(KJV.score(KJV.base), 4)
