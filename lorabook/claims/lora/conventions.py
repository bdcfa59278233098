"""Conventions that differ from text to text and change nothing, and one that changes the layer."""

import torch
from torch import nn

from lorabook.claims.case import SHAPES, Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.lora.form import HU, trained
from lorabook.core.inject import inject
from lorabook.core.lora import KaimingStart, LoRA, LowRank
from lorabook.core.recipe import Factors
from lorabook.cost.count import parameters, trainable


@claim(
    statement=r"With $B=0$ any $A$ starts at $W_0$: the Gaussian of the paper as the uniform of libraries (stacked).",
    source=f"{HU}, section 4.1; loralib and PEFT draw A by Kaiming's uniform rule",
)
def any_a_starts_at_the_base(case: Case):
    base = case.linear()
    gaussian = Factors(case.randn(case.r, case.d_in, stream="A"), case.w0().new_zeros(case.d_out, case.r))
    starts = (LowRank(base, f, case.spec()) for f in (gaussian, KaimingStart().build(base.matrix, case.spec())))
    return torch.stack([start.weight(base.matrix) for start in starts]), base.matrix.expand(2, -1, -1)


@claim(
    statement=r"Written for rows, $h=xW$ with $W=W_0^\top$, $A'$: $d_{in}\times r$ and $B$: $d_{out}\times r$: "
    r"$h=xW+s(xA')B^\top$, and so $\Delta W=sA'B^\top$ (stacked: both as outputs).",
    source="the transpose of W₀x + s·B(Ax); either convention is sound if it is kept",
    when="one convention is kept throughout",
    cases=SHAPES,
)
def rows_and_columns_say_the_same(case: Case):
    base, update = trained(case)
    x, a, b = case.x(), update.A.detach().T, update.B.detach()
    by_path = x @ base.matrix.T + case.s * (x @ a) @ b.T
    by_weight = x @ (base.matrix.T + case.s * a @ b.T)
    return (update(base, x) - base.bias).expand(2, -1, -1), torch.stack([by_path, by_weight])


@misconception(
    of=rows_and_columns_say_the_same,
    statement=r"… and $\Delta W=sBA'^\top$ is the same update.",
    source="a teaching text mixes two conventions; it is a d_out × d_in matrix beside a d_in × d_out one, and only a "
    "square layer lets it pass, as the transpose (elsewhere the smaller shape is cut out here)",
)
def false_b_times_a_transposed_beside_rows(case: Case):
    base, update = trained(case)
    x, a, b = case.x(), update.A.detach().T, update.B.detach()
    mixed, least = base.matrix.T.clone(), min(case.d_out, case.d_in)
    mixed[:least, :least] += case.s * (b @ a.T)[:least, :least]
    return (update(base, x) - base.bias).expand(2, -1, -1), (x @ mixed).expand(2, -1, -1)


@claim(
    statement=r"Full fine-tuning trains $d_{in}d_{out}$ numbers of a matrix, LoRA $r(d_{in}+d_{out})$ (stacked).",
    source=f"{HU}, section 4.2",
    tol=0,
)
def numbers_of_both(case: Case):
    model = nn.Sequential(nn.Linear(case.d_in, case.d_out, bias=False, dtype=torch.float64))
    whole = parameters(model)
    inject(model, LoRA(case.r), "0")
    counted = torch.tensor([whole, trainable(model)])
    return counted, torch.tensor([case.d_in * case.d_out, case.r * (case.d_in + case.d_out)])
