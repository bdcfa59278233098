"""What multiplying W₀ entry by entry can do, and cannot."""

import torch
from torch import Tensor, linalg

from lorabook.axes.form.hira import ElementwiseScaled
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.core.frozen import Frozen

HUANG = "Huang et al. 2025 (HiRA, ICLR 2025)"


def thin_base(case: Case, rank: int) -> tuple[Frozen, ElementwiseScaled]:
    """Return a frozen layer whose W₀ has this rank, and a trained HiRA update."""
    base = case.linear()
    u, sigma, vt = linalg.svd(base.matrix, full_matrices=False)
    base.store.w0 = (u[:, :rank] * sigma[:rank]) @ vt[:rank]
    return base, ElementwiseScaled(base, case.factors(), case.spec())


def delta(base: Frozen, update: ElementwiseScaled) -> Tensor:
    """Return ΔW."""
    return (update.weight(base.matrix) - base.matrix).detach()


@claim(
    statement=r"$\operatorname{rank}(W_0\odot BA)\le r\cdot\operatorname{rank}(W_0)$, and here it is reached.",
    source=f"{HUANG}, section 3; the Hadamard product of matrices multiplies ranks at most",
    tol=0,
    cases=(Case(24, 20, 2), Case(30, 28, 3)),
)
def hira_rank_is_a_product(case: Case):
    measured = linalg.matrix_rank(delta(*thin_base(case, 4)), rtol=1e-10)
    return measured, torch.tensor(4 * case.r)


@misconception(
    of=hira_rank_is_a_product,
    statement=r"$\operatorname{rank}(\Delta W)\le r$, because it is made from $BA$.",
    source="a natural guess",
)
def false_hira_rank_is_r(case: Case):
    return linalg.matrix_rank(delta(*thin_base(case, 4)), rtol=1e-10), torch.tensor(case.r)


@claim(
    statement=r"$W=W_0\odot(1+s\,BA)$ leaves every zero of $W_0$ at zero.",
    source=f"{HUANG}, equation 3",
    when="so HiRA gates what is there; it cannot connect what W₀ leaves unconnected, and a QLoRA base has many zeros",
)
def a_zero_stays_zero(case: Case):
    base, update = thin_base(case, min(case.d_out, case.d_in))
    mask = (case.randn(case.d_out, case.d_in, stream="mask") > 0).double()
    return update.weight(base.matrix * mask), update.weight(base.matrix) * mask


@claim(
    statement=r"$W_0\odot(1+s\,BA)$ with the matrix of ones moves every entry by its own size: "
    r"$\Delta W_{ij}=s\,(BA)_{ij}(W_0)_{ij}$.",
    source=f"{HUANG}, equation 3",
)
def ones_gate_every_entry(case: Case):
    base, update = thin_base(case, min(case.d_out, case.d_in))
    return delta(base, update), update.s * (update.B @ update.A) * base.matrix


@misconception(
    of=ones_gate_every_entry,
    statement=r"$W_0\odot(I+BA)$ and $W_0\odot(1+BA)$ say the same.",
    source="a teaching text, which writes one in one place and the other in another; I keeps W₀'s diagonal alone",
)
def false_the_identity_gates_every_entry(case: Case):
    base, update = thin_base(case, min(case.d_out, case.d_in))
    eye = torch.eye(case.d_out, case.d_in, dtype=torch.float64)
    gated = base.matrix * (eye + update.s * update.B @ update.A) - base.matrix
    return delta(base, update), gated
