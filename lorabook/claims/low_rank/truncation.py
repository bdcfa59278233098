"""How far the best rank-r approximation is from the matrix, and why no other is nearer."""

import torch
from torch import linalg

from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.cost.spectrum import nearest_of_rank, singular_values


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


@misconception(
    of=truncation_error_is_the_tail,
    statement=r"$\lVert M-U_r\Sigma_rV_r^\top\rVert_F^2=\sigma_{r+1}^2$: that is the error in the spectral norm, "
    r"squared, not in Frobenius'.",
    source="a frequent slip: two norms, one theorem",
)
def false_truncation_error_is_one_singular_value(case: Case):
    m = case.w0()
    return (m - nearest_of_rank(m, case.r)).square().sum(), singular_values(m)[case.r].square()
