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
import re
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

import torch
from torch import linalg, nn

from lorabook.arena.allocation_trace import Trace, Tracer
from lorabook.arena.choices import ChosenBy, drawn, largest
from lorabook.arena.job import TUNING_SEEDS
from lorabook.arena.method import CLIP
from lorabook.arena.run import device, versions
from lorabook.arena.tasks import KJV
from lorabook.axes.form.adalora import PLQ
from lorabook.axes.rule.adalora import AdaLoRA
from lorabook.core.adapted_layer import adapted
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.optimizer import optimizer
from lorabook.core.schedule import warmup_cosine
from lorabook.core.step_rule import StepRule
from lorabook.core.training_step import take_steps
from lorabook.models.paths import data_dir, data_file

R, ALPHA, TARGET, EVERY, GAMMA = 6, 8, 2, 5, 0.001
WARM_UP, FINAL = KJV.steps // 10, KJV.steps // 3
"""What the recipe has if nothing is said: a tenth and a third of the run."""
WARM_UPS, FINALS, TARGETS = (0, WARM_UP, 20), (5, FINAL), (1, TARGET, 4)
REPORT_SEEDS = (0, 1, 2, 3, 4)
FILE = "recorded/allocation.jsonl"

SCORE, RANDOM, LAMBDA, FREE = "by score", "at random", "by |λ|", "by score, γ = 0"
RETRAINED, CUT = "LoRA with its ranks", "LoRA r=6, cut at the end"
"""RETRAINED: LoRA from the start with the ranks that the run by score with this seed ended with, s = 2 everywhere. CUT:
LoRA of rank 6, of whose ΔW the 56 largest singular values of the whole model are left after the last step."""
POWERS = {SCORE: range(9, 13), RANDOM: range(9, 13), CUT: range(6, 9), RETRAINED: range(7, 10), LAMBDA: range(9, 13),
          FREE: range(9, 13)}  # fmt: skip
RATES = {way: tuple(1e-3 * 2 ** (k / 2) for k in powers) for way, powers in POWERS.items()}
"""√2 apart, around what the arena found for AdaLoRA and for LoRA."""


class Asked(NamedTuple):
    """A run: how triplets are chosen, the mean rank at the end, the two phases, the rate, the seed."""

    way: str
    lr: float
    seed: int
    target: int = TARGET
    warm_up: int = WARM_UP
    final: int = FINAL


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
    rule = tracer = None
    if asked.way == RETRAINED:
        _inject_ranks(model, _ranks_of(asked.seed, runs), generator)
    elif asked.way == CUT:
        inject(model, LoRA(R, 2 * R), KJV.targets, generator)
    else:
        rule, tracer = _adalora(model, asked, generator)
    losses = _take_steps(model, asked, rule, tracer)
    if asked.way == CUT:
        keep_largest(model, asked.target)
    seen = (tracer.off(), len(tracer.back)) if tracer is not None else (None, 0)
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


def _adalora(model: nn.Module, asked: Asked, generator: torch.Generator) -> tuple[StepRule, Tracer]:
    gamma = 0.0 if asked.way == FREE else GAMMA
    recipe = AdaLoRA(
        R, ALPHA, total_steps=KJV.steps, target_r=asked.target, warm_up=asked.warm_up, final=asked.final, every=EVERY,
        orthogonality=gamma,
    )  # fmt: skip
    inject(model, recipe, KJV.targets, generator)
    rule = recipe.rule.build(model)
    others = {RANDOM: drawn(asked.seed), LAMBDA: largest}
    return ChosenBy(rule, others[asked.way]) if asked.way in others else rule, Tracer(rule)


def _inject_ranks(model: nn.Module, ranks: Sequence[int], generator: torch.Generator) -> None:
    for name, r in zip(matrices(), ranks, strict=True):
        if r:
            inject(model, LoRA(r, 2 * r), f"^{re.escape(name)}$", generator)


def _ranks_of(seed: int, runs: Sequence[AllocationRun]) -> tuple[int, ...]:
    lr = tuned(runs, SCORE)
    if (run := next((run for run in runs if run.asked == Asked(SCORE, lr, seed)), None)) is None:
        return train(Asked(SCORE, lr, seed)).ranks
    return run.ranks


@torch.no_grad()
def keep_largest(model: nn.Module, mean_rank: int) -> None:
    """Leave of all ΔW = s·BA the largest singular values of the whole model, `mean_rank` for each matrix on average."""
    updates = [layer.update for layer in adapted(model).values()]
    parts = [linalg.svd(update.s * update.B @ update.A, full_matrices=False) for update in updates]
    sizes = torch.cat([sigma for _, sigma, _ in parts]).sort(descending=True).values
    least = sizes[mean_rank * len(updates) - 1]
    for update, (u, sigma, vt) in zip(updates, parts, strict=True):
        k = int((sigma >= least).sum())
        update.B.zero_()[:, :k] = u[:, :k] * sigma[:k] / update.s
        update.A.zero_()[:k] = vt[:k]


def ranks(model: nn.Module) -> tuple[int, ...]:
    """Return the rank that is left in each matrix, 0 where nothing was adapted: λ or columns of B that are not zero."""
    layers = adapted(model)
    live = {
        name: (layer.update.E if isinstance(layer.update, PLQ) else layer.update.B.T) for name, layer in layers.items()
    }
    return tuple(int((live[name] != 0).any(1).sum()) if name in live else 0 for name in matrices())


@cache
def matrices() -> tuple[str, ...]:
    """Return the names of the adapted matrices, in the order in which ranks are kept."""
    return tuple(name for name, _ in KJV.base.named_modules() if name.endswith(KJV.targets))


@cache
def _start() -> float:
    return round(KJV.score(KJV.base), 4)
