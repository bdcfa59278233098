"""One run of the arena: prepare, train, measure. What it returns is a row of the record, whatever came of it."""

import copy
import datetime
import math
import platform
import statistics
import time
from dataclasses import replace
from functools import cache

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from lorabook.arena.budget import method_named, size_of, task_named
from lorabook.arena.job import REPORT_SEEDS, Job, Row
from lorabook.arena.matrices import effective, target_names
from lorabook.arena.method import Method, Training
from lorabook.arena.methods import BASELINE, BASELINE_RANK
from lorabook.arena.task import Task
from lorabook.core.adapted_layer import adapted
from lorabook.core.frozen import UnsupportedLayer
from lorabook.core.training_step import Diverged
from lorabook.cost.count import saved_bytes, trainable
from lorabook.cost.spectrum import effective_rank
from lorabook.models.fingerprint import fingerprint

FINGERPRINT_STEP = 9
RANKED = 28
"""A model of 30 layers has 210 matrices, and their singular values take longer than its training."""
EVERY = 5
"""Steps between two points of a recorded curve."""


class _Watch:
    """What is seen of a training while it runs: losses, processor time of each step, fingerprint, optimiser's state."""

    def __init__(self, model: nn.Module, last: int | None) -> None:
        self.model, self.last = model, last
        self.losses: list[float] = []
        self.times: list[float] = []
        self.norm10: float | None = None
        self.optimizer_bytes = 0
        self._before = time.process_time()

    def __call__(self, step: int, loss: float) -> bool:
        now = time.process_time()
        self.times.append(now - self._before)
        self.losses.append(loss)
        if step == FINGERPRINT_STEP:
            self.norm10 = _norm([p for p in self.model.parameters() if p.requires_grad])
        self._before = time.process_time()
        return self.last is not None and step >= self.last

    def stepped(self, optimizer: torch.optim.Optimizer, _args: tuple, _kwargs: dict) -> None:
        """Measure the optimiser's state, whoever made it."""
        state = [value for entry in optimizer.state.values() for value in entry.values() if isinstance(value, Tensor)]
        self.optimizer_bytes = max(self.optimizer_bytes, sum(tensor.nbytes for tensor in state))


def run(job: Job, steps: int | None = None, method: Method | None = None) -> Row:
    """Run a job and return its row; a contender that the library refuses on this task, or that diverges, has one too.

    Args:
        steps: stop after so many, for the fingerprint alone: score and what is measured at the end stay None.
        method: who runs under the job's name, where that is none of the arena's contenders.

    Raises:
        ValueError: the contender, the task or the budget does not exist.
    """
    method, task = method or method_named(job.method), task_named(job.task)
    began = time.perf_counter()
    today = datetime.date.today().isoformat()
    row = Row(*job, state="finished", device=device(task.base), versions=versions(), date=today)
    try:
        size = size_of(method, task, job.budget)
        model = _prepared(method, task, size, job.seed)
    except (ValueError, UnsupportedLayer) as error:
        return replace(row, state="refused", why=str(error))
    layers = adapted(model)
    row = replace(
        row, size=size, trained=trainable(model), base=_hash(task.name), start=_start(task.name)[0],
        scale=next((layer.scale for layer in layers.values()), None),
        backward_bytes=_backward_bytes(task, model, job.seed),
    )  # fmt: skip
    before = _matrices(model, task)
    watch = _Watch(model, None if steps is None else steps - 1)
    try:
        _train(method, task, model, job, watch)
    except Diverged as error:
        return replace(row, state="diverged", why=str(error), seconds=time.perf_counter() - began)
    row = replace(
        row, loss10=watch.losses[FINGERPRINT_STEP], norm10=watch.norm10, optimizer_bytes=watch.optimizer_bytes,
        curve=_thinned(watch.losses), seconds=time.perf_counter() - began,
    )  # fmt: skip
    if steps is not None:
        return row
    moved, rank = _change(before, _matrices(model, task))
    return replace(
        row, score=task.score(model), forgotten=task.old(model) - _start(task.name)[1], moved=moved, rank=rank,
        step_ratio=_ratio(watch, task) if job.seed in REPORT_SEEDS else None, more=task.more(model),
        seconds=time.perf_counter() - began,
    )  # fmt: skip


def _prepared(method: Method, task: Task, size: int, seed: int) -> nn.Module:
    model = copy.deepcopy(task.base)
    method.prepare(model, task.targets, size, torch.Generator().manual_seed(seed))
    return model


def _train(method: Method, task: Task, model: nn.Module, job: Job, watch: _Watch) -> None:
    torch.manual_seed(job.seed)
    hook = register_optimizer_step_post_hook(watch.stepped)
    try:
        method.train(model, Training(task.stream(job.seed), task.steps, job.lr, task.loss, watch))
    finally:
        hook.remove()


def _ratio(watch: _Watch, task: Task) -> float:
    """Return the median processor time of a step over LoRA's here and now: a machine's speed changes within minutes."""
    method = method_named(BASELINE)
    model = _prepared(method, task, BASELINE_RANK, 0)
    lora = _Watch(model, 8)
    _train(method, task, model, Job(BASELINE, task.name, "equal", 1e-3, 0), lora)
    return statistics.median(watch.times[1:]) / statistics.median(lora.times[1:])


def _backward_bytes(task: Task, model: nn.Module, seed: int) -> int:
    where = next(model.parameters()).device
    batch = tuple(tensor.to(where) for tensor in next(task.stream(seed)))
    return saved_bytes(lambda: task.loss(model, batch), [*batch, *model.parameters(), *model.buffers()])


def _matrices(model: nn.Module, task: Task) -> dict[str, Tensor]:
    """Return the effective matrix of every target, none where what trains is beside the matrices."""
    changed = adapted(model) or all(p.requires_grad for p in model.parameters())
    return effective(model, _targets(task.name)) if changed else {}


@cache
def _targets(task_name: str) -> tuple[str, ...]:
    task = task_named(task_name)
    return tuple(target_names(task.base, task.targets))


def _change(before: dict[str, Tensor], after: dict[str, Tensor]) -> tuple[float | None, float | None]:
    """Return ‖ΔW‖ over all matrices, and the effective rank of ΔW, mean over at most `RANKED` of them."""
    if not before:
        return None, None
    deltas = [after[name] - before[name] for name in before]
    return _norm(deltas), statistics.fmean(map(effective_rank, deltas[:: math.ceil(len(deltas) / RANKED)]))


def _norm(tensors: list[Tensor]) -> float:
    return math.sqrt(sum(float(tensor.detach().double().square().sum()) for tensor in tensors))


def _thinned(losses: list[float]) -> tuple[float, ...]:
    kept = losses[::EVERY] + ([] if (len(losses) - 1) % EVERY == 0 else losses[-1:])
    return tuple(round(loss, 4) for loss in kept)


@cache
def _start(task_name: str) -> tuple[float, float]:
    task = task_named(task_name)
    return task.score(task.base), task.old(task.base)


@cache
def _hash(task_name: str) -> str:
    return fingerprint(task_named(task_name).base)


def device(model: nn.Module | None = None) -> str:
    """Return what a run of this model is recorded to have run on; without one, the processor."""
    where = torch.device("cpu") if model is None else next(model.parameters()).device
    return torch.cuda.get_device_name(where) if where.type == "cuda" else f"{where.type.upper()} ({platform.machine()})"


def versions() -> str:
    """Return the versions that a run is recorded with."""
    return f"torch {torch.__version__}, Python {platform.python_version()}"
