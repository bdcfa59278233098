"""A task of another, with a look at what training did to the singular directions of the matrices."""

import copy
import statistics
from collections.abc import Iterator
from functools import cached_property
from typing import final

import torch
from torch import Tensor, nn

from lorabook.arena.matrices import effective, target_names
from lorabook.arena.task import Task
from lorabook.core.adapted_layer import adapted
from lorabook.core.merge import merge
from lorabook.core.training_step import Batch
from lorabook.cost.intruders import intruders, shrunk

SHRUNK = (0.75, 0.5, 0.25, 0.0)
"""What the singular values of intruders are multiplied by."""
SCALED = (0.9, 0.8, 0.6, 0.5, 0.4)
"""What the whole ΔW is multiplied by: the plain way to forget less, and to have learnt less."""


@final
class Intruders(Task):
    """Beside the other task's measures: intruders a matrix, and learning and forgetting when they are made smaller."""

    def __init__(self, name: str, task: Task) -> None:
        self.name, self.task = name, task
        self.targets, self.unit, self.steps, self.loss = task.targets, task.unit, task.steps, task.loss

    @property
    def base(self) -> nn.Module:
        return self.task.base

    @cached_property
    def before(self) -> dict[str, Tensor]:
        return effective(self.base, target_names(self.base, self.targets))

    def stream(self, seed: int) -> Iterator[Batch]:
        return self.task.stream(seed)

    def score(self, model: nn.Module) -> float:
        return self.task.score(model)

    def old(self, model: nn.Module) -> float:
        return self.task.old(model)

    @torch.no_grad()
    def more(self, model: nn.Module) -> dict[str, float]:
        after = effective(model, self.before)
        which = {name: intruders(self.before[name], matrix) for name, matrix in after.items()}
        measured = {"intruders": statistics.fmean(map(len, which.values())), "unchanged: old": self.old(model)}
        plain = copy.deepcopy(model)
        if adapted(plain):
            merge(plain)
        for factor in SHRUNK:
            matrices = {name: shrunk(matrix, which[name], factor) for name, matrix in after.items()}
            measured |= self._measured(plain, matrices, f"shrunk {factor}")
        for factor in SCALED:
            matrices = {name: torch.lerp(self.before[name], matrix, factor) for name, matrix in after.items()}
            measured |= self._measured(plain, matrices, f"scaled {factor}")
        return measured

    def _measured(self, model: nn.Module, matrices: dict[str, Tensor], what: str) -> dict[str, float]:
        for name, matrix in matrices.items():
            model.get_submodule(name).weight.copy_(matrix)
        return {f"{what}: score": self.score(model), f"{what}: old": self.old(model)}
