"""What is true of DoRA, and what is only often said."""

import torch

from lorabook.axes.form.dora import RowScaled
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception

LIU = "Liu et al. 2024 (2402.09353)"


def trained(case: Case) -> tuple:
    """Return a frozen layer and a RowScaled whose A, B and m have all moved."""
    base = case.linear()
    update = RowScaled(base, case.factors(), case.spec())
    with torch.no_grad():
        update.m.mul_(1 + 0.3 * case.randn(case.d_out, stream="m"))
        update.B.add_(0.5 * case.randn(case.d_out, case.r, stream="moved B"))
    return base, update


@claim(
    statement=r"$\lVert V_i\rVert^2=\lVert W_{0,i}\rVert^2+2s\,B_i(AW_{0,i}^\top)+s^2B_i(AA^\top)B_i^\top$: "
    r"every row's norm, without the sum $V=W_0+sBA$.",
    source="expand the square; used here for the cheap path",
)
def row_norms_without_the_sum(case: Case):
    base, update = trained(case)
    return update.row_norms(base.matrix), (base.matrix + update.s * update.B @ update.A).norm(dim=1)


@claim(statement=r"$\lVert W_i\rVert=|m_i|$: the trained $m$ is the length of each row.", source=f"{LIU}, equation 5")
def m_is_the_length_of_each_row(case: Case):
    base, update = trained(case)
    return update.weight(base.matrix).norm(dim=1), update.m.abs()


@misconception(
    of=m_is_the_length_of_each_row,
    statement=r"$m$ holds one number per column of torch's $W$ (the paper says “column”; its W is the transpose).",
    source="a reading of the paper's word in torch's layout; LyCORIS offers it as an option",
)
def false_m_is_the_length_of_each_column(case: Case):
    base, update = trained(case)
    columns = update.weight(base.matrix).norm(dim=0)
    return torch.nn.functional.pad(columns, (0, max(0, case.d_out - case.d_in)))[: case.d_out], update.m.abs()


@claim(
    statement=r"$\partial L/\partial V=\frac{m}{\lVert V\rVert}\,G$ row by row, the norm held constant.",
    source=f"{LIU}, equation 11 (section 4.3)",
)
def the_norm_is_held_constant(case: Case):
    base, update = trained(case)
    x = case.x()
    y = update(base, x)
    y.square().sum().div(2).backward()
    g = y.detach().T @ x
    factor = (update.m / update.row_norms(base.matrix)).detach()
    return update.B.grad, factor[:, None] * (g @ (update.s * update.A.detach()).T)


@claim(
    statement=r"At the start $m_i=\lVert V_i\rVert$, so $W=W_0$.",
    source=f"{LIU}, section 4",
)
def dora_starts_at_the_base(case: Case):
    base = case.linear()
    factors = case.factors()
    update = RowScaled(base, type(factors)(factors.A, torch.zeros_like(factors.B)), case.spec())
    return update.weight(base.matrix), base.matrix


@misconception(
    of=dora_starts_at_the_base,
    statement=r"$W=m\odot\bigl(W_0+BA/\lVert BA\rVert\bigr)$: the direction is that of $BA$ alone.",
    source="a comparison table in circulation: “(W_0 + unit-norm(B A)) ⊙ m”",
)
def false_dora_normalises_ba_alone(case: Case):
    base = case.linear()
    ba = torch.zeros(case.d_out, case.r, dtype=torch.float64) @ case.factors().A
    return base.matrix + ba / ba.norm(dim=1, keepdim=True), base.matrix
