"""What is true of AdaLoRA's form, and what is only often said."""

import torch

from lorabook.cases import Case
from lorabook.claims import claim, foil
from lorabook.update.plq import PLQ

ZHANG = "Zhang et al. 2023 (2303.10512)"


def trained(case: Case) -> PLQ:
    """Return a PLQ whose three factors are non-zero."""
    update = PLQ(case.linear(), case.factors(), case.site())
    with torch.no_grad():
        update.E.copy_(case.randn(case.r, 1, stream="lambda"))
    return update


@claim(
    statement=r"$P\Lambda Q=\sum_k\lambda_k\,p_kq_k^\top$: setting one $\lambda_k$ to zero removes exactly the $k$-th term.",
    source=f"{ZHANG}, section 3.1",
)
def a_masked_lambda_removes_its_term(case: Case):
    update, w0 = trained(case), case.linear().matrix
    before = update.weight(w0)
    p, q, last = update.B[:, -1], update.A[-1], update.E[-1].clone()
    with torch.no_grad():
        update.E[-1] = 0.0
    return before - update.weight(w0), update.s * last * torch.outer(p, q)


@claim(
    statement=r"The penalty $\lVert P^\top P-I\rVert^2+\lVert QQ^\top-I\rVert^2$ is zero for orthonormal $P$, $Q$ and positive otherwise (value at the start, and after QR).",
    source=f"{ZHANG}, equation 4",
    cases=(Case(12, 5, 1), Case(7, 16, 3), Case(6, 6, 6)),
)
def the_penalty_measures_orthogonality(case: Case):
    update = trained(case)
    start = update.orthogonality().detach()
    by_hand = sum(((m @ m.T) - torch.eye(case.r)).square().sum() for m in (update.A.detach(), update.B.detach().T))
    with torch.no_grad():
        update.A.copy_(torch.linalg.qr(update.A.T).Q.T)
        update.B.copy_(torch.linalg.qr(update.B).Q)
    return torch.stack([start, update.orthogonality().detach()]), torch.stack([by_hand, torch.zeros_like(by_hand)])


@foil(
    of=the_penalty_measures_orthogonality,
    statement=r"$P$ and $Q$ are orthogonal, so $P\Lambda Q$ is a singular value decomposition.",
    source="summaries of the paper; nothing but a penalty pulls them there, and they start as Gaussian noise",
)
def plq_is_a_singular_value_decomposition(case: Case):
    update = trained(case)
    return torch.stack([update.orthogonality().detach()] * 2), torch.zeros(2, dtype=torch.float64)
