"""How much of a matrix a rank keeps: the singular values, and the best rank-r approximation."""

import torch
from jaxtyping import Float
from torch import Tensor, linalg

from lorabook.cases import Case
from lorabook.claims import claim, foil

ABOUT = "low rank"


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


@claim(
    statement=r"$\lVert M-U_r\Sigma_rV_r^\top\rVert_F^2=\sum_{i>r}\sigma_i^2$: what a rank throws away is the "
    r"tail of the spectrum.",
    source="Eckart, Young 1936; Mirsky 1960",
    cases=(Case(12, 5, 1), Case(7, 16, 3), Case(9, 9, 6)),
)
def truncation_error_is_the_tail(case: Case):
    m = case.w0()
    return (m - nearest_of_rank(m, case.r)).square().sum(), singular_values(m)[case.r :].square().sum()


@claim(
    statement=r"$\lVert M-U_r\Sigma_rV_r^\top\rVert_F\le\lVert M-BA\rVert_F$ for every $B$, $A$ of rank $r$ (64 "
    r"tries: random ones, and best ones nudged).",
    source="Eckart, Young 1936",
    relation="<=",
    cases=(Case(12, 5, 1), Case(7, 16, 3), Case(9, 9, 6)),
)
def no_other_rank_r_matrix_is_nearer(case: Case):
    m = case.w0()
    best = (m - nearest_of_rank(m, case.r)).norm()
    rivals = []
    for i in range(32):
        a = case.randn(case.r, case.d_in, stream=f"rival {i}")
        b = m @ linalg.pinv(a)  # the best B for this A
        rivals += [b @ a, nearest_of_rank(m + 0.1 * case.randn(case.d_out, case.d_in, stream=f"nudge {i}"), case.r)]
    return best.expand(len(rivals)), torch.stack([(m - rival).norm() for rival in rivals])


@foil(
    of=truncation_error_is_the_tail,
    statement=r"$\lVert M-U_r\Sigma_rV_r^\top\rVert_F^2=\sigma_{r+1}^2$: that is the error in the spectral norm, "
    r"squared, not in Frobenius'.",
    source="a frequent slip: two norms, one theorem",
)
def truncation_error_is_one_singular_value(case: Case):
    m = case.w0()
    return (m - nearest_of_rank(m, case.r)).square().sum(), singular_values(m)[case.r].square()
