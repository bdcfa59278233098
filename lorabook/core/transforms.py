"""Whether torch reads a call instead of only running it: then no product may be hidden from it or written in place.

What every form on every store and layer type can do, and one battery tries: `torch.func` (vmap over stacked adapters or
whole stacked models, per-sample gradients, jvp, hessian), `torch.compile(fullgraph=True)`, `torch.export`. A quantised
base keeps nothing dense for backward there either; it costs one more frozen product, which is made again. The exception
is a gradient of `torch.func` inside `torch.compile`: what is kept the compiler decides. An exported program that is
trained keeps W₀ dense: export to run, train before. vmap with dropout asks for its own `randomness="different"`.
"""

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
