"""Whether torch reads a call instead of only running it: then no product may be hidden from it or written in place."""

import torch
from torch import Tensor


def in_func() -> bool:
    """Say whether a transform of torch.func (vmap, grad, jvp, …) is at work."""
    # What torch.autograd.Function itself asks; torch has no public name for it.
    return torch._C._are_functorch_transforms_active()


def traced(x: Tensor) -> bool:
    """Say whether torch.compile, torch.export or torch.func reads this call, or `x` is a tensor without numbers (fake).

    Where nothing does, a layer may write into its own fresh output, look at addresses and keep tables.
    """
    return torch.compiler.is_compiling() or in_func() or type(x) not in (Tensor, torch.nn.Parameter)
