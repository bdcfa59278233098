"""What is true of LoHa, and what is only often said."""

import torch

from lorabook.axes.form.loha import Hadamard, row_products, two_paths_pay_off
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.cost.spectrum import singular_values

FEDPARA = "Hyeon-Woo, Ye-Bin, Oh 2021 (FedPara, 2108.06098)"


def trained(case: Case) -> tuple:
    """Return a frozen layer and a Hadamard update whose four factors are all non-zero."""
    base = case.linear()
    return base, Hadamard(base, case.factors(), case.spec())


@claim(
    statement=r"$(B_1A_1)\odot(B_2A_2)=(B_1\ast B_2)(A_1\ast A_2)$ with row-wise products of all pairs: a "
    r"product of inner size $r^2$.",
    source="Khatri–Rao product; Slyusar 1996",
)
def a_hadamard_product_of_products_is_a_product(case: Case):
    _, u = trained(case)
    return (u.B @ u.A) * (u.B2 @ u.A2), row_products(u.B.T, u.B2.T).T @ row_products(u.A, u.A2)


@claim(
    statement=r"$\operatorname{rank}(\Delta W)\le r^2$.",
    source=f"{FEDPARA}, proposition 1",
    relation="<=",
    cases=(Case(12, 9, 1), Case(17, 16, 3), Case(20, 12, 2)),
)
def loha_rank_is_at_most_r_squared(case: Case):
    base, update = trained(case)
    sigma = singular_values((update.weight(base.matrix) - base.matrix).detach())
    return (sigma > 1e-12 * sigma[0]).sum(), torch.tensor(case.r**2)


@misconception(
    of=loha_rank_is_at_most_r_squared,
    statement=r"$\operatorname{rank}(\Delta W)\le r$, as in LoRA: it is still built from rank-$r$ matrices.",
    source="a natural guess",
)
def false_loha_rank_is_at_most_r(case: Case):
    base, update = trained(case)
    sigma = singular_values((update.weight(base.matrix) - base.matrix).detach())
    return (sigma > 1e-12 * sigma[0]).sum(), torch.tensor(case.r)


@claim(
    statement=r"$W=W_0+s\,(B_1A_1)\odot(B_2A_2)$ moves $W_0$ by an amount that does not depend on $W_0$.",
    source=f"{FEDPARA}; LyCORIS (2309.14859)",
)
def loha_adds(case: Case):
    base, update = trained(case)
    delta = update.s * (update.B @ update.A) * (update.B2 @ update.A2)
    return update.weight(2 * base.matrix) - 2 * base.matrix, delta


@misconception(
    of=loha_adds,
    statement=r"LoHa is $W=W_0\odot(I+BA)$.",
    source="a teaching text; with the identity I that keeps W₀'s diagonal and little else, with all ones it is HiRA",
)
def false_loha_multiplies(case: Case):
    base, update = trained(case)
    eye = torch.eye(case.d_out, case.d_in, dtype=torch.float64)
    delta = update.s * (update.B @ update.A) * (update.B2 @ update.A2)
    return base.matrix * (eye + update.B @ update.A) - base.matrix, delta


@claim(
    statement=r"The two-path form moves less than building $\Delta W$ exactly when "
    r"$3r^2(d_{in}+d_{out})<d_{in}d_{out}$ (LoHa's break-even at r = 4: d = 96).",
    source="counted: three passes over r²-wide factors (forward, and two gradients) against three over ΔW",
    cases=(Case(96, 96, 4),),
)
def loha_breaks_even(case: Case):
    widths = torch.arange(8, 257)
    chosen = torch.tensor([two_paths_pay_off(int(d), int(d), case.r) for d in widths])
    return chosen.double(), (widths > 6 * case.r**2).double()
