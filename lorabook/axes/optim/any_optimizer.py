"""Any optimiser of torch as a value on the optimiser axis."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lorabook.core.frozen import Frozen
from lorabook.core.recipe import Recipe


@dataclass(frozen=True)
class AnyOptimizer:
    """make(parameters, lr=η), as `Recipe(optim=AnyOptimizer(torch.optim.SGD))`; options by functools.partial."""

    make: Callable[..., torch.optim.Optimizer]

    def build(self, named: dict[str, Tensor], lr: float) -> torch.optim.Optimizer:
        return self.make(list(named.values()), lr=lr)

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        """Every layer and every other axis suits."""

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return 0
