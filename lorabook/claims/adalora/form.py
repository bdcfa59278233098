"""What is true of AdaLoRA's form PΛQ."""

import torch

from lorabook.axes.form.adalora import PLQ
from lorabook.claims.case import Case
from lorabook.claims.claim import claim

ZHANG = "Zhang et al. 2023 (2303.10512)"


def trained(case: Case) -> PLQ:
    """Return a PLQ whose three factors are non-zero."""
    update = PLQ(case.linear(), case.factors(), case.spec())
    with torch.no_grad():
        update.E.copy_(case.randn(case.r, 1, stream="lambda"))
    return update


@claim(
    statement=r"The penalty $\lVert P^\top P-I\rVert^2+\lVert QQ^\top-I\rVert^2$ is zero for orthonormal $P$, "
    r"$Q$ and positive otherwise (value at the start, and after QR).",
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
