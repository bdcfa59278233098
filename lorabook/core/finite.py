"""Numbers that are none: found before anything is built on them, and named with their layer."""

import torch
from torch import Tensor


def is_finite(numbers: Tensor) -> bool:
    """Say whether all entries are numbers. On the meta device there are none to look at, so nothing speaks against."""
    if numbers.numel() == 0 or numbers.device.type == "meta":
        return True
    # No second tensor of this size: an entry that is no number makes the smallest and the largest one.
    return bool(torch.isfinite(torch.stack(numbers.detach().aminmax())).all())


def refuse_not_finite(name: str, numbers: Tensor, next_step: str) -> None:
    """Refuse a tensor with NaN or infinite entries.

    Raises:
        ValueError: naming it, how many entries are none, and what to do.
    """
    if not is_finite(numbers):
        bad = int((~numbers.isfinite()).sum())
        raise ValueError(f"{name} has NaN or infinite entries ({bad} of {numbers.numel()}): {next_step}")
