"""Length and direction in DoRA: of which axis, of what, and what the backward pass leaves out."""

import torch
from torch import Tensor

from lorabook.axes.form.dora import RowScaled
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.dora.form import LIU, m_is_the_length_of_each_row, trained
from lorabook.claims.unchecked import Unchecked
from lorabook.core.recipe import Factors


def started(case: Case, w0: Tensor) -> tuple[RowScaled, Tensor]:
    """Return DoRA at its start (B = 0) on a frozen matrix, and that matrix."""
    base = case.linear()
    base.store.w0.copy_(w0)
    factors = case.factors()
    return RowScaled(base, Factors(factors.A, torch.zeros_like(factors.B)), case.spec()), base.matrix


def gradients(case: Case) -> tuple[Tensor, Tensor, Tensor]:
    """Return ∂L/∂V by the library, ∂L/∂V with the norm in the graph, and V̂ = V/‖V‖ row by row."""
    base, update = trained(case)
    target = case.randn(case.d_out, case.d_in, stream="target")
    v = (base.matrix + update.s * update.B @ update.A).detach()
    # V = W₀ + s·BA, so a gradient with respect to W₀ is one with respect to V.
    w0 = base.matrix.clone().requires_grad_()
    (update.weight(w0) * target).sum().backward()
    free = v.clone().requires_grad_()
    (update.m.detach()[:, None] * free / free.norm(dim=1, keepdim=True) * target).sum().backward()
    return w0.grad, free.grad, v / v.norm(dim=1, keepdim=True)


@claim(
    statement=r"Every matrix is length times direction, row by row: $W_0=m\odot V/\lVert V\rVert$ with "
    r"$m_i=\lVert W_{0,i}\rVert$.",
    source=f"{LIU}, equation 2",
    when="no row is zero: a zero row has no direction",
)
def a_matrix_is_length_times_direction(case: Case):
    update, w0 = started(case, case.w0())
    return torch.cat([update.weight(w0), update.m[:, None]], 1), torch.cat([w0, w0.norm(dim=1, keepdim=True)], 1)


@misconception(
    of=a_matrix_is_length_times_direction,
    statement=r"Every matrix is length times direction, one with a zero row too.",
    source="a teaching text: “any weight matrix”; a zero row (a pruned output) gives 0/0",
)
def false_a_zero_row_has_a_direction(case: Case):
    # DoRA itself refuses such a row at injection; it is taken out afterwards here.
    update, w0 = started(case, case.w0())
    pruned, m = w0.clone(), w0.norm(dim=1, keepdim=True)
    pruned[0] = 0
    return torch.cat([update.weight(pruned), update.m[:, None]], 1), torch.cat([pruned, m], 1)


@claim(
    statement=r"DoRA holds $d_{out}$ lengths: one for each row of torch's $d_{out}\times d_{in}$ weight, which is one "
    r"for each output.",
    source=f"{LIU}, section 4.1 (its W is the transpose); the official code and PEFT take norm(dim=1)",
    tol=0,
)
def there_is_one_length_for_each_output(case: Case):
    return torch.tensor(started(case, case.w0())[0].m.shape), torch.tensor([case.d_out])


@misconception(
    of=there_is_one_length_for_each_output,
    statement=r"“Column-wise”, with $W_0\in\mathbb R^{d_{out}\times d_{in}}$: the norms of the columns.",
    source="a teaching text, which also says one scalar for each output; there are d_in columns, so both cannot be",
)
def false_there_is_one_length_for_each_column(case: Case):
    return torch.tensor(started(case, case.w0())[0].m.shape), torch.tensor(case.w0().norm(dim=0).shape)


@claim(
    statement=r"$V=W_0+sBA$ counts only by its direction: from $3V$ (three times $W_0$ and $B$) and the same $m$ comes "
    r"the same $W$.",
    source=f"{LIU}, equation 5: V is divided by its own norm",
    when=r"$m$ is the same; the directional part is $V/\lVert V\rVert$, not $V$",
)
def the_length_of_v_does_not_matter(case: Case):
    base, update = trained(case)
    longer = RowScaled(base, Factors(update.A.data, 3 * update.B.data), case.spec())
    longer.m.data = update.m.data
    return longer.weight(3 * base.matrix), update.weight(base.matrix)


@misconception(
    of=the_length_of_v_does_not_matter,
    statement=r"$V=W_0+sBA$ is the direction itself: $W=m\odot V$.",
    source="a teaching text that names V the directional component",
)
def false_v_is_the_direction(case: Case):
    base, update = trained(case)
    return update.m[:, None] * (base.matrix + update.s * update.B @ update.A), update.weight(base.matrix)


@misconception(
    of=m_is_the_length_of_each_row,
    statement=r"$W=(W_0+BA/\lVert BA\rVert)\odot m$ gives rows of length $|m_i|$ too.",
    source="a comparison table in circulation; W₀ is not normalised there, so its rows keep a length of their own",
)
def false_normalising_ba_alone_gives_length_m(case: Case):
    base, update = trained(case)
    ba = update.B @ update.A
    w = (base.matrix + ba / ba.norm(dim=1, keepdim=True)) * update.m[:, None]
    return w.norm(dim=1), update.m.abs()


@claim(
    statement=r"With the norm in the graph, $\partial L/\partial V=(I-\hat V\hat V^\top)\,g$ row by row, where $g$ is "
    r"DoRA's gradient: holding the norm constant leaves in the part along $V$, and nothing else differs.",
    source=f"{LIU}, equations 6 and 11; LyCORIS keeps the norm in the graph, PEFT and torchtune do not",
)
def the_constant_norm_leaves_in_the_part_along_v(case: Case):
    constant, free, unit = gradients(case)
    return free, constant - (constant * unit).sum(1, keepdim=True) * unit


@misconception(
    of=the_constant_norm_leaves_in_the_part_along_v,
    statement=r"Holding the norm constant saves memory and changes no gradient.",
    source=f"read into {LIU}, section 4.3, which finds no loss of accuracy; the gradient is another",
)
def false_the_constant_norm_changes_no_gradient(case: Case):
    constant, free, _ = gradients(case)
    return free, constant


@claim(
    statement=r"With the norm in the graph, a step never lengthens $V$ to first order: $\langle\partial L/\partial "
    r"V_i,V_i\rangle=0$; the gradient that DoRA uses has $\langle g_i,V_i\rangle\ne0$ (stacked: what is taken out of "
    r"$g$, and what is left).",
    source=f"{LIU}, section 4.2; W does not depend on the length of V",
)
def the_full_gradient_is_orthogonal_to_v(case: Case):
    constant, free, unit = gradients(case)
    along = (constant * unit).sum(1)
    return torch.stack([((constant - free) * unit).sum(1), (free * unit).sum(1)]), torch.stack([along, 0 * along])


@claim(
    statement=r"$y=\frac{m}{\lVert V\rVert}\odot Vx+b$: the bias is not scaled, so $y(0)=b$.",
    source=f"{LIU}, equation 5 is one of the weight; PEFT and the official code",
)
def the_bias_is_not_scaled(case: Case):
    base, update = trained(case)
    return update(base, 0 * case.x()), base.bias.expand(len(case.x()), -1)


@misconception(
    of=the_bias_is_not_scaled,
    statement=r"$y=\frac m{\lVert V\rVert}\odot(Vx+b)$: the bias is scaled with its row.",
    source="torchtune 0.6.1, on a layer with a bias; the merged layer would need another bias",
)
def false_the_bias_is_scaled_with_its_row(case: Case):
    base, update = trained(case)
    scale = update.m / update.row_norms(base.matrix)
    return update(base, 0 * case.x()), (scale * base.bias).expand(len(case.x()), -1)


WHAT_AND_HOW_STRONGLY = Unchecked(
    statement="The direction of a row is which feature it looks for, its length how strongly it answers.",
    source="teaching texts",
    reason="a reading of two numbers, not a statement about them: no measurement would come out otherwise",
)
