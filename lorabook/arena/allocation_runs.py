"""Which layers deserve the rank? AdaLoRA's choice on the Bible, other choices of as many triplets, LoRA with its ranks.

    python -c "from lorabook.arena.allocation_runs import record; record()"

trains what the file does not have yet. Every run is one of `KJV`, with the arena's warm-up and clipping. AdaLoRA starts
with rank 6 in all 28 matrices. Ways are compared at a budget of 56 triplets, a mean rank of 2: each is tried at its
rates on the tuning seeds, and its best one is trained on the report seeds. The runs of the explorer are AdaLoRA's, of
seed 0 at its best rate; they also keep what the allocator saw.
"""

import copy
import datetime
import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import product
from pathlib import Path

import torch
from torch import nn

from lorabook.arena.allocation_trace import Trace, Tracer
from lorabook.arena.allocation_ways import (
    CUT,
    FINAL,
    RANDOM,
    RATES,
    RETRAINED,
    SCORE,
    TARGET,
    WARM_UP,
    Asked,
    keep_largest,
    prepare,
    ranks,
)
from lorabook.arena.job import TUNING_SEEDS
from lorabook.arena.method import CLIP
from lorabook.arena.run import device, versions
from lorabook.arena.tasks import KJV
from lorabook.core.optimizer import optimizer
from lorabook.core.schedule import warmup_cosine
from lorabook.core.step_rule import StepRule
from lorabook.core.training_step import take_steps
from lorabook.models.paths import data_dir, data_file

WARM_UPS, FINALS, TARGETS = (0, WARM_UP, 20), (5, FINAL), (1, TARGET, 4)
REPORT_SEEDS = (0, 1, 2, 3, 4)
FILE = "recorded/allocation.jsonl"


@dataclass(frozen=True)
class AllocationRun:
    """What came of it: the task's score of the base and at the end, and each matrix's rank, in the model's order.

    losses: on the batch of every step. off: ‖σ(ΔW) − s|λ|‖ / ‖σ(ΔW)‖ over all matrices, both in order of size; None
    for LoRA. back: how many masked triplets lived again after a later choice. trace: of the explorer's runs alone.
    """

    asked: Asked
    start: float
    score: float
    ranks: tuple[int, ...]
    losses: tuple[float, ...]
    off: float | None
    back: int
    trace: Trace | None
    device: str
    versions: str
    date: str


def asked_for(runs: Sequence[AllocationRun]) -> Iterator[Asked]:
    """Yield every run that belongs to the record; those on report seeds once the rate of their way is known."""
    for way in RATES:
        yield from (Asked(way, lr, seed) for lr in RATES[way] for seed in TUNING_SEEDS)
        if (lr := tuned(runs, way)) is not None:
            yield from (Asked(way, lr, seed) for seed in REPORT_SEEDS)
        if way == RANDOM and (lr := tuned(runs, SCORE)) is not None:
            yield from (Asked(SCORE, lr, 0, *phases) for phases in product(TARGETS, WARM_UPS, FINALS))


def tuned(runs: Sequence[AllocationRun], way: str) -> float | None:
    """Return the rate with the lowest mean score on the tuning seeds, None while one of them has not been tried."""
    scores = {lr: [run.score for run in runs if run.asked in tries(way, lr)] for lr in RATES[way]}
    if any(len(found) < len(TUNING_SEEDS) for found in scores.values()):
        return None
    return min(scores, key=lambda lr: statistics.fmean(scores[lr]))


def tries(way: str, lr: float) -> list[Asked]:
    """Return the runs on the tuning seeds."""
    return [Asked(way, lr, seed) for seed in TUNING_SEEDS]


def reported(runs: Sequence[AllocationRun], way: str) -> list[AllocationRun]:
    """Return the runs of a way at its best rate, in the order of the report seeds."""
    lr = tuned(runs, way)
    by_asked = {run.asked: run for run in runs}
    return [by_asked[key] for seed in REPORT_SEEDS if (key := Asked(way, lr, seed)) in by_asked]


def record(path: Path | None = None) -> None:
    """Train what is missing in the file, and add a line for each run as it ends.

    Raises:
        Diverged: a loss is no number any more.
    """
    path = path or data_dir() / FILE
    while missing := next(_missing(path), None):
        run = train(missing, read(path) if path.exists() else [])
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(run), ensure_ascii=False, separators=(",", ":")) + "\n")


def _missing(path: Path) -> Iterator[Asked]:
    runs = read(path) if path.exists() else []
    done = {run.asked for run in runs}
    return (key for key in asked_for(runs) if key not in done)


def read(path: Path | None = None) -> list[AllocationRun]:
    """Return every recorded run."""
    lines = (path or data_file(FILE)).read_text(encoding="utf-8").splitlines()
    return [_of_row(json.loads(line)) for line in lines]


def _of_row(row: dict) -> AllocationRun:
    row |= {"asked": Asked(*row["asked"]), "ranks": tuple(row["ranks"]), "losses": tuple(row["losses"])}
    return AllocationRun(**{**row, "trace": row["trace"] and Trace(**row["trace"])})


def train(asked: Asked, runs: Sequence[AllocationRun] = ()) -> AllocationRun:
    """Train once; `runs` has the run whose ranks LoRA takes over."""
    model, generator = copy.deepcopy(KJV.base), torch.Generator().manual_seed(asked.seed)
    found = _ranks_of(asked.seed, runs) if asked.way == RETRAINED else ()
    rule, tracer = prepare(model, asked, found, generator)
    losses = _take_steps(model, asked, rule, tracer)
    if asked.way == CUT:
        keep_largest(model, asked.target)
    seen = (None, 0) if tracer is None else (tracer.off(), len(tracer.back))
    trace = tracer.trace() if tracer is not None and (asked.way, asked.seed) == (SCORE, 0) else None
    return AllocationRun(
        asked, _start(), round(KJV.score(model), 4), ranks(model), losses, *seen, trace, device(), versions(),
        datetime.date.today().isoformat(),
    )  # fmt: skip


def _take_steps(model: nn.Module, asked: Asked, rule: StepRule | None, tracer: Tracer | None) -> tuple[float, ...]:
    chosen, losses = optimizer(model, asked.lr), []
    rates = [group["lr"] for group in chosen.param_groups]
    model.train()
    torch.manual_seed(asked.seed)
    steps = take_steps(
        model, chosen, KJV.stream(asked.seed), 0, KJV.steps, KJV.loss, rates=rates, schedule=warmup_cosine, rule=rule,
        clip=CLIP,
    )  # fmt: skip
    for t, loss in enumerate(steps):
        losses.append(round(loss, 3))
        if tracer is not None:
            tracer.look(t)
    model.eval()
    return tuple(losses)


def _ranks_of(seed: int, runs: Sequence[AllocationRun]) -> tuple[int, ...]:
    lr = tuned(runs, SCORE)
    if (run := next((run for run in runs if run.asked == Asked(SCORE, lr, seed)), None)) is None:
        return train(Asked(SCORE, lr, seed)).ranks
    return run.ranks


@cache
def _start() -> float:
    return round(KJV.score(KJV.base), 4)
