"""Row spaces: the inputs that a factor A reads, and what is left of a matrix outside of them."""

import torch
from jaxtyping import Float
from torch import Tensor, linalg

from lorabook.core.whole_number import refuse_unless_whole


def row_basis(rows: Float[Tensor, "n d"]) -> Float[Tensor, "rank d"]:
    """Return an orthonormal basis Q of the space that the rows span, in float64. Rows that add nothing are left out."""
    _, sigma, vt = linalg.svd(rows.double(), full_matrices=False)
    # Rounding of the rows themselves decides what counts as zero: bfloat16 rows are never exactly dependent.
    smallest = torch.finfo(rows.dtype).eps * max(rows.shape) * sigma.max() if sigma.numel() else 0.0
    return vt[sigma > smallest]


def outside(m: Float[Tensor, "rows d"], q: Float[Tensor, "rank d"]) -> Float[Tensor, "rows d"]:
    """Return M − (MQᵀ)Q: each row of M without its part in the space of the orthonormal rows of Q."""
    return m - (m @ q.T) @ q


def capacity(d_in: int, r: int) -> int:
    """Return ⌊d_in/r⌋: how many rank-r factors A, all orthogonal to each other, there is room for.

    Raises:
        ValueError: d_in is negative or r below 1.
    """
    refuse_unless_whole("d_in", d_in, 0)
    refuse_unless_whole("r", r)
    return d_in // r
