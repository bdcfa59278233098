"""Intruder dimensions: leading singular directions of a trained matrix that the matrix before training did not have.

A left singular vector u of W is an intruder if max_j |u · uⱼ| < ε over the left singular vectors uⱼ of W₀.

Source: Shuttleworth et al. 2024 (2410.21228), algorithm 1.
"""

from jaxtyping import Float
from torch import Tensor, linalg

LEADING = 10
EPSILON = 0.5


def intruders(
    before: Float[Tensor, "d_out d_in"], after: Float[Tensor, "d_out d_in"],
    k: int = LEADING, epsilon: float = EPSILON,
) -> list[int]:  # fmt: skip
    """Return which of the k leading singular directions of `after` are intruders, 0 for the first.

    Raises:
        ValueError: the shapes differ.
    """
    if before.shape != after.shape:
        raise ValueError(f"before has the shape {tuple(before.shape)}, after {tuple(after.shape)}: compare one layer")
    old, new = (linalg.svd(m.double(), full_matrices=False)[0] for m in (before, after))
    nearest = (old.T @ new[:, :k]).abs().amax(0)
    return (nearest < epsilon).nonzero().flatten().tolist()


def shrunk(after: Float[Tensor, "d_out d_in"], which: list[int], factor: float) -> Float[Tensor, "d_out d_in"]:
    """Return W + (factor − 1)·Σᵢ σᵢ uᵢ vᵢᵀ: the singular values of these directions times a factor."""
    u, sigma, vt = linalg.svd(after.double(), full_matrices=False)
    return (after.double() + (factor - 1) * (u[:, which] * sigma[which]) @ vt[which]).to(after.dtype)
