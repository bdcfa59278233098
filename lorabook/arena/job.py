"""What identifies a run, and what is recorded of it: plain numbers and words."""

from dataclasses import dataclass, fields
from typing import NamedTuple

VERSION = 1
"""Of the record. A reader refuses another one."""


class Job(NamedTuple):
    """One run that may be asked for: who, on which task, with which budget, rate and seed."""

    method: str
    task: str
    budget: str
    lr: float
    seed: int

    @property
    def label(self) -> str:
        """For messages: DoRA on kjv, equal budget, rate 0.008, seed 3."""
        return f"{self.method} on {self.task}, {self.budget} budget, rate {self.lr:g}, seed {self.seed}"


@dataclass(frozen=True)
class Row:
    """One run that has ended.

    state: "finished", "diverged", or "refused" (`why` says what the library said).
    size: rank or width; trained: numbers; scale: s of its recipe, None without one.
    start, score: before and after, in the task's unit; curve: training loss of every fifth step, and of the last.
    forgotten: nats on what the base could do before, after minus before.
    moved: ‖ΔW‖ over all targets; rank: effective rank of ΔW, exp(entropy of σ/Σσ), mean over targets; None where the
        targets have no matrix of their own (bottleneck, prefix).
    backward_bytes, optimizer_bytes: kept for one backward pass; state of the optimiser after a step.
    step_ratio: processor time of a step over LoRA's, medians in one process.
    loss10, norm10: fingerprint: training loss of the tenth step, ‖θ‖ of what trains after it.
    base: hash of the base's weights.
    """

    method: str
    task: str
    budget: str
    lr: float
    seed: int
    state: str
    why: str | None = None
    size: int | None = None
    trained: int | None = None
    scale: float | None = None
    start: float | None = None
    score: float | None = None
    curve: tuple[float, ...] = ()
    forgotten: float | None = None
    moved: float | None = None
    rank: float | None = None
    backward_bytes: int | None = None
    optimizer_bytes: int | None = None
    step_ratio: float | None = None
    loss10: float | None = None
    norm10: float | None = None
    base: str | None = None
    seconds: float | None = None
    device: str | None = None
    versions: str | None = None
    date: str | None = None
    version: int = VERSION

    @property
    def job(self) -> Job:
        """What was asked for."""
        return Job(self.method, self.task, self.budget, self.lr, self.seed)


FIELDS = tuple(field.name for field in fields(Row))
