"""What training did to the rows of a matrix: how far each was turned, how much each was stretched.

Liu et al. 2024 (2402.09353), section 3.2, take one number for a matrix: the mean over rows of |stretch|, and of turn.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def stretch(w: Float[Tensor, "d_out d_in"], w0: Float[Tensor, "d_out d_in"]) -> Float[Tensor, " d_out"]:
    """Return ‖W_i‖ − ‖W₀_i‖ of every row; ΔM is its size."""
    return w.norm(dim=1) - w0.norm(dim=1)


def turn(w: Float[Tensor, "d_out d_in"], w0: Float[Tensor, "d_out d_in"]) -> Float[Tensor, " d_out"]:
    """Return ΔD = 1 − cos(W_i, W₀_i) of every row."""
    return 1 - F.cosine_similarity(w, w0)


def together(one: Float[Tensor, " n"], other: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Return the correlation of two lists: 1 if they lie on a rising line, −1 on a falling one."""
    return torch.corrcoef(torch.stack([one, other]))[0, 1]


def with_lengths_of(
    lengths: Float[Tensor, "d_out d_in"], directions: Float[Tensor, "d_out d_in"]
) -> Float[Tensor, "d_out d_in"]:
    """Return the rows of the second matrix, each as long as that of the first."""
    return lengths.norm(dim=1, keepdim=True) * F.normalize(directions)
