"""Three ways to cut a trained adapter s·BA to a smaller rank: its first rows under two scales, and the SVD."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, linalg, nn

from lorabook.core.adapted_layer import adapted

Cut = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]
"""From A, B and b to the factors of the cut, beside the scale s = α/r of the whole."""


def first_rows(A: Tensor, B: Tensor, b: int) -> tuple[Tensor, Tensor]:
    """Return the first b rows and columns: the scale stays α/r."""
    return A[:b], B[:, :b]


def nested(A: Tensor, B: Tensor, b: int) -> tuple[Tensor, Tensor]:
    """Return the first b rows and columns with the scale α/b, as DyLoRA trains them.

    Source: Valipour et al. 2022 (2210.07558), section 3.2.
    """
    return A[:b], B[:, :b] * (len(A) / b)


def strongest(A: Tensor, B: Tensor, b: int) -> tuple[Tensor, Tensor]:
    """Return the factors of the matrix of rank b that is nearest to BA.

    Source: Eckart, Young 1936.
    """
    u, sigma, vt = linalg.svd(B @ A, full_matrices=False)
    return vt[:b], u[:, :b] * sigma[:b]


NESTED, ROWS, SVD = "first rows, α/b", "first rows, α/r", "SVD"
CUTS: dict[str, Cut] = {NESTED: nested, ROWS: first_rows, SVD: strongest}


@contextmanager
def cut(model: nn.Module, kind: str, b: int) -> Iterator[None]:
    """Serve every adapter of a model at rank b inside the block, and whole after it, bit for bit."""
    factors = [(layer.update.A, layer.update.B) for layer in adapted(model).values()]
    whole = [(a.detach().clone(), b_.detach().clone()) for a, b_ in factors]
    try:
        with torch.no_grad():
            for (a, b_), (whole_a, whole_b) in zip(factors, whole, strict=True):
                cut_a, cut_b = CUTS[kind](whole_a, whole_b, b)
                a.zero_()[: len(cut_a)] = cut_a
                b_.zero_()[:, : cut_b.shape[1]] = cut_b
        yield
    finally:
        with torch.no_grad():
            for (a, b_), (whole_a, whole_b) in zip(factors, whole, strict=True):
                a.copy_(whole_a)
                b_.copy_(whole_b)
