"""Factors as near to a wanted matrix as a form can be brought: each factor in turn, as well as the others allow.

With all factors but one fixed, every form is linear in that one, so its best is a least-squares problem. Only LoRA's
best is known in one step (the singular vectors); where the others end depends on their start, so several starts run
side by side.
"""

import torch
from jaxtyping import Float
from torch import Tensor, linalg

from lorabook.axes.form.hira import ElementwiseScaled
from lorabook.axes.form.loha import Hadamard
from lorabook.axes.form.lokr import Kronecker
from lorabook.core.lora import LowRank
from lorabook.cost.spectrum import nearest_of_rank

STARTS, TURNS = 8, 60
KRONECKER_TURNS = 300
RIDGE = 1e-10
"""Of the normal matrices' mean diagonal: a row that weighs nothing has no best of its own."""

Wanted = Float[Tensor, "d_out d_in"]


@torch.no_grad()
def set_nearest_low_rank(update: LowRank, m: Wanted) -> None:
    """Set B and A to the strongest directions of m. Source: Eckart, Young 1936."""
    u, sigma, vt = linalg.svd(m, full_matrices=False)
    r = len(update.A)
    update.B.copy_(u[:, :r] * sigma[:r])
    update.A.copy_(vt[:r])


@torch.no_grad()
def set_nearest_hadamard(update: Hadamard, m: Wanted) -> None:
    """Set LoHa's four factors; s must be 1."""
    b, a, b2, a2 = (_starts(one, seed) for seed, one in enumerate((update.B, update.A, update.B2, update.A2)))
    for _ in range(TURNS):
        b, a = _turn(b, a, b2 @ a2, m)
        b2, a2 = _turn(b2, a2, b @ a, m)
    best = _nearest((b @ a) * (b2 @ a2), m)
    for mine, found in ((update.B, b), (update.A, a), (update.B2, b2), (update.A2, a2)):
        mine.copy_(found[best])


@torch.no_grad()
def set_nearest_scaled(update: ElementwiseScaled, w0: Wanted, m: Wanted) -> None:
    """Set HiRA's B and A; s must be 1."""
    b, a = (_starts(one, seed) for seed, one in enumerate((update.B, update.A)))
    for _ in range(TURNS):
        b, a = _turn(b, a, w0[None], m)
    best = _nearest(w0 * (b @ a), m)
    update.B.copy_(b[best])
    update.A.copy_(a[best])


@torch.no_grad()
def set_nearest_kronecker(update: Kronecker, m: Wanted) -> None:
    """Set LoKr's factors; s must be 1.

    With the blocks of m as rows, C ⊗ D is vec(C)vec(D)ᵀ, so the nearest one is the first singular triplet. Where D = BA
    has rank r, C and D are improved in turns from there. Source: Van Loan, Pitsianis 1993.
    """
    p, q = update.C.shape
    k, n = m.shape[0] // p, m.shape[1] // q
    blocks = m.view(p, k, q, n).transpose(1, 2).reshape(p * q, k * n)
    u, sigma, v = linalg.svd(blocks, full_matrices=False)
    c, d = u[:, 0], sigma[0] * v[0]
    r = None if update.A is None else len(update.A)
    for _ in range(0 if r is None else KRONECKER_TURNS):
        d = nearest_of_rank((c @ blocks).view(k, n), r).flatten()
        c = blocks @ d / (blocks @ d).norm()
    # One sign and one size of the two: C has the length of D, so that a picture shows both.
    size = d.norm().sqrt()
    update.C.copy_((c * size).view(p, q))
    if r is None:
        update.D.copy_((d / size).view(k, n))
    else:
        u, sigma, v = linalg.svd((d / size).view(k, n), full_matrices=False)
        update.B.copy_(u[:, :r] * sigma[:r])
        update.A.copy_(v[:r])


def _starts(like: Tensor, seed: int) -> Float[Tensor, "starts rows columns"]:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(STARTS, *like.shape, generator=draw, dtype=like.dtype)


def _turn(b: Tensor, a: Tensor, w: Tensor, m: Wanted) -> tuple[Tensor, Tensor]:
    """Return better B and A of w ⊙ (BA) ≈ m, of one size."""
    b = _best_left(a, w, m)
    a = _best_left(b.mT, w.mT, m.T).mT
    size = (a.norm(dim=(1, 2)) / b.norm(dim=(1, 2))).sqrt()[:, None, None]
    return b * size, a / size


def _best_left(a: Float[Tensor, "starts r d_in"], w: Tensor, m: Wanted) -> Float[Tensor, "starts d_out r"]:
    """Return the B that is best in w ⊙ (BA) ≈ m: for each of its rows a least-squares problem with r unknowns."""
    r = a.shape[1]
    # Row i's normal matrix is Σ_j w_ij² a_j a_jᵀ: all of them in one product with the pairs of A's rows.
    pairs = (a[:, :, None] * a[:, None]).flatten(1, 2)
    normal = (w.square() @ pairs.mT).unflatten(-1, (r, r))
    ridge = RIDGE * normal.diagonal(dim1=-2, dim2=-1).mean((-2, -1))
    return linalg.solve(normal + ridge[:, None, None, None] * torch.eye(r, dtype=m.dtype), (w * m) @ a.mT)


def _nearest(found: Float[Tensor, "starts d_out d_in"], m: Wanted) -> int:
    return int((found - m).square().sum((1, 2)).argmin())
