"""What identifies a run, and what is recorded of it: plain numbers and words."""

from dataclasses import dataclass, field, fields
from typing import NamedTuple

VERSION = 1
"""Of the record. A reader refuses another one."""
TUNING_SEEDS = (100, 101)
REPORT_SEEDS = tuple(range(10))
"""Rates are chosen on the first; all is reported and decided on the second: ten, for all are compared with LoRA."""


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
    moved: ‖ΔW‖ over all targets; rank: effective rank of ΔW, exp(entropy of σ/Σσ), mean over targets (28 of
        them, evenly, where there are more); None where what trains is beside the matrices (bottleneck, prefix).
    backward_bytes, optimizer_bytes: kept for one backward pass; state of the optimiser after a step.
    step_ratio: processor time of a step over LoRA's, medians in one process; measured on reporting seeds.
    more: what only its task measures: accuracy, bits, intruders.
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
    more: dict[str, float] = field(default_factory=dict)
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


FIELDS = tuple(each.name for each in fields(Row))
