"""How long a run takes here: a few steps of LoRA are timed once for each base; the record has the others' ratios."""

import copy
import statistics
import time
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import torch

from lorabook.arena.budget import method_named
from lorabook.arena.method import Training
from lorabook.arena.methods import BASELINE, BASELINE_RANK
from lorabook.arena.task import Task
from lorabook.models.fingerprint import fingerprint

TIMED = 6
"""Steps that are taken; the first is not counted."""


class Measured(NamedTuple):
    """Of a base on this machine: its fingerprint, its own loss, and the seconds of a score and of a step of LoRA."""

    base: str
    start: float
    score: float
    step: float


@cache
def measure(task: Task) -> Measured:
    """Load a task, score its base and time LoRA's step, once in a process."""
    began = time.perf_counter()
    start = task.score(task.base)
    score = time.perf_counter() - began
    method, model, ends = method_named(BASELINE), copy.deepcopy(task.base), []
    method.prepare(model, task.targets, BASELINE_RANK, torch.Generator().manual_seed(0))
    method.train(model, Training(task.stream(0), TIMED, 1e-3, task.loss, lambda *_: ends.append(time.perf_counter())))
    return Measured(
        fingerprint(task.base), start, score, statistics.median(after - before for before, after in pairwise(ends))
    )
