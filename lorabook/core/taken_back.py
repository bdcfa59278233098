"""Taking an optimiser's step back when it wrote what is no number."""

import math

import torch
from torch import Tensor

from lorabook.core.finite import is_finite


def writes_only_numbers(optimizer: torch.optim.Optimizer) -> bool:
    """Say whether finite gradients can only lead to finite parameters: torch's AdamW, in the range of float32.

    A gradient of finite norm has entries whose squares are finite, and a step of Adam is η·m/(√v + ε), a few η at most.
    In float16 ε is 0, so that 0/0 is possible. Of other optimisers nothing is known.
    """
    if type(optimizer) is not torch.optim.AdamW:
        return False
    groups = optimizer.param_groups
    wide = all(p.dtype != torch.float16 for group in groups for p in group["params"])
    return wide and all(group["eps"] > 1e-30 and group["lr"] < 1e30 for group in groups)


class Before:
    """The parameters before a step, copied where the optimiser may write what is no number.

    The copy is as large as what trains, and is there at a moment when no activations are kept.
    """

    def __init__(self, trained: list[Tensor], optimizer: torch.optim.Optimizer, finite_gradients: bool) -> None:
        self.trained = trained
        safe = finite_gradients and writes_only_numbers(optimizer)
        self.numbers = None if safe else [p.detach().clone() for p in trained]

    @torch.no_grad()
    def take_back_if_spoilt(self) -> Tensor | None:
        """Put the parameters back if one has an entry that is no number, and return that one."""
        if self.numbers is None:
            return None
        written = [p.detach() for p in self.trained if p.numel()]
        if torch.nn.utils.get_total_norm(written, math.inf).isfinite():
            return None
        spoilt = next(p for p in self.trained if not is_finite(p))
        for p, kept in zip(self.trained, self.numbers, strict=True):
            p.copy_(kept)
        return spoilt
