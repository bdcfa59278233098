"""Which layers deserve the rank? AdaLoRA's choice on the Bible, other choices of as many triplets, LoRA with its ranks.

    python -c "from lorabook.arena.allocation_runs import record; record()"

trains what the file does not have yet. Every run is one of `KJV`, with the arena's warm-up and clipping. Ways are
compared at a budget of 56 triplets, a mean rank of 2: each is tried at its rates on the tuning seeds, and its best one
is trained on the report seeds. The runs of the explorer are AdaLoRA's, of seed 0 at its best rate; they also keep what
the allocator saw.
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
    LAMBDA,
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
LOW, LOW_SEEDS = 1, (0, 1, 2)
"""A smaller mean rank, at which SCORE and CUT are tried too, at the rates that are best for the larger one."""
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
    if (lr := tuned(runs, SCORE)) is not None:
        yield from (Asked(SCORE, lr, 0, *plan) for plan in product(TARGETS, WARM_UPS, FINALS))
    for way in (RETRAINED, SCORE, CUT, RANDOM, LAMBDA):
        if (lr := tuned(runs, way)) is not None:
            yield from (Asked(way, lr, seed) for seed in REPORT_SEEDS)
    for way in (SCORE, CUT):
        if (lr := tuned(runs, way)) is not None:
            yield from (Asked(way, lr, seed, LOW) for seed in LOW_SEEDS)


def tuned(runs: Sequence[AllocationRun], way: str) -> float | None:
    """Return the rate with the lowest mean score on the tuning seeds, None while one of them has not been tried."""
    way = SCORE if way == LAMBDA else way
    by_asked = {run.asked: run for run in runs}
    tried = {lr: [by_asked.get(Asked(way, lr, seed)) for seed in TUNING_SEEDS] for lr in RATES[way]}
    if any(run is None for found in tried.values() for run in found):
        return None
    return min(tried, key=lambda lr: statistics.fmean(run.score for run in tried[lr]))


def reported(runs: Sequence[AllocationRun], way: str, target: int = TARGET) -> list[AllocationRun]:
    """Return the runs of a way at its best rate, in the order of the seeds.

    Raises:
        KeyError: the record lacks one of them.
    """
    by_asked, lr = {run.asked: run for run in runs}, tuned(runs, way)
    return [by_asked[Asked(way, lr, seed, target)] for seed in (LOW_SEEDS if target == LOW else REPORT_SEEDS)]


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
    if row["trace"] is not None:
        row["trace"] = Trace(**row["trace"] | {"shape": tuple(row["trace"]["shape"])})
    return AllocationRun(**row)


def train(asked: Asked, runs: Sequence[AllocationRun] = ()) -> AllocationRun:
    """Train once; `runs` has the run whose ranks LoRA takes over."""
    model, generator = copy.deepcopy(KJV.base), torch.Generator().manual_seed(asked.seed)
    found = _ranks_of(asked, runs) if asked.way == RETRAINED else ()
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


def _ranks_of(asked: Asked, runs: Sequence[AllocationRun]) -> tuple[int, ...]:
    """Return the ranks that the run by score with this seed and budget ended with; trained now where it is missing."""
    same = asked._replace(way=SCORE, lr=tuned(runs, SCORE))
    found = [run for run in runs if run.asked == same]
    return (found[0] if found else train(same)).ranks


@cache
def _start() -> float:
    return round(KJV.score(KJV.base), 4)
