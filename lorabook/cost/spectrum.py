"""How much of a matrix a rank keeps: the singular values, and the best rank-r approximation."""

from jaxtyping import Float
from torch import Tensor, linalg, special


def singular_values(m: Float[Tensor, "rows columns"]) -> Float[Tensor, " least"]:
    """Return σ₁ ≥ σ₂ ≥ … in float64."""
    return linalg.svdvals(m.double())


def nearest_of_rank(m: Float[Tensor, "rows columns"], r: int) -> Float[Tensor, "rows columns"]:
    """Return U_r Σ_r V_rᵀ, the matrix of rank r that is nearest to `m`.

    Source: Eckart, Young 1936; Mirsky 1960 for every unitarily invariant norm.
    """
    u, sigma, vt = linalg.svd(m, full_matrices=False)
    return (u[:, :r] * sigma[:r]) @ vt[:r]


def energy_kept(m: Float[Tensor, "rows columns"], r: int) -> float:
    """Return Σ_{i≤r} σᵢ² / Σᵢ σᵢ²: the share of ‖M‖²_F that the best rank-r approximation keeps."""
    squares = singular_values(m).square()
    return (squares[:r].sum() / squares.sum()).item()


def rank_for(m: Float[Tensor, "rows columns"], share: float) -> int:
    """Return the least rank that keeps this share of ‖M‖²_F.

    Raises:
        ValueError: the share is not in (0, 1].
    """
    if not 0 < share <= 1:
        raise ValueError(f"share is {share!r}; it must lie in (0, 1], such as 0.9")
    squares = singular_values(m).square()
    kept = squares.cumsum(0) / squares.sum()
    # Rounding can leave the last sum a hair below 1.
    return min(int((kept < share - 1e-12).sum().item()) + 1, len(squares))


def effective_rank(m: Float[Tensor, "rows columns"]) -> float:
    """Return exp(−Σ p ln p) with p = σ/Σσ: 1 for a matrix of rank 1, k where k singular values are alike; 0 for zero.

    Source: Roy, Vetterli 2007, definition 1.
    """
    sigma = singular_values(m)
    if not sigma.sum() > 0:
        return 0.0
    return special.entr(sigma / sigma.sum()).sum().exp().item()
