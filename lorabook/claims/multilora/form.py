"""MultiLoRA is one LoRA of rank n·r that starts and learns in another way; it is not MELoRA."""

import torch
from torch import Tensor, linalg

from lorabook.axes.form.melora import MELoRAForm
from lorabook.axes.form.multilora import MultiLoRAForm, ParallelSum
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.unchecked import Unchecked
from lorabook.core.frozen import Frozen
from lorabook.core.lora import LowRank, LowRankForm
from lorabook.core.recipe import Factors
from lorabook.core.update import Update

WANG = "Wang et al. 2023 (2311.11501)"
SHAPES = (Case(12, 6, 1), Case(8, 16, 2), Case(18, 18, 3))
N = 2


def fresh(case: Case) -> tuple[Frozen, ParallelSum]:
    """Return a frozen layer, and MultiLoRA with two pairs of rank r at its start."""
    base = case.linear()
    return base, MultiLoRAForm(N).build(base, case.factors(), case.spec())


def trained(case: Case) -> tuple[Frozen, ParallelSum]:
    """Return the same with every trained number moved."""
    base, update = fresh(case)
    for name, parameter in update.named_parameters():
        parameter.data = case.randn(*parameter.shape, stream=name)
    return base, update


def delta(base: Frozen, update: Update) -> Tensor:
    """Return ΔW."""
    return (update.weight(base.matrix) - base.matrix).detach()


@claim(
    statement=r"$\Delta W=s\sum_i\mathrm{diag}(v_i)B_iA_i$ is one LoRA of rank $nr$, with the scales in its $B$: "
    r"$[\mathrm{diag}(v_1)B_1\;\dots\;\mathrm{diag}(v_n)B_n]\,[A_1;\dots;A_n]$.",
    source=f"{WANG}, section 4, and block multiplication",
    cases=SHAPES,
)
def multilora_is_one_lora_with_scales(case: Case):
    base, update = trained(case)
    scaled = [v[:, None] * b for v, b in zip(update.v.T, update.B.split(case.r, dim=1), strict=True)]
    one = LowRank(base, Factors(update.A.detach(), torch.cat(scaled, dim=1).detach()), case.spec())
    return update(base, case.x()), one(base, case.x())


@misconception(
    of=multilora_is_one_lora_with_scales,
    statement=r"MultiLoRA and MELoRA are two names of one method.",
    source="a teaching text, which has one section on both; MELoRA (2402.17263) cuts input and output into slices",
)
def false_multilora_is_melora(case: Case):
    base, update = trained(case)
    update.v.data.fill_(1.0)
    blocks = MELoRAForm(N).build(base, case.factors(), case.spec())
    blocks.A.data = update.A.view(N, case.r, -1)[..., : case.d_in // N].detach()
    blocks.B.data = torch.stack(update.B.split(case.r, dim=1))[:, : case.d_out // N].detach()
    return update(base, case.x()), blocks(base, case.x())


@claim(
    statement=r"$\mathrm{rank}(\Delta W)=nr$.",
    source="the factors of the one LoRA have nr columns and rows",
    when=r"$nr\le\min(d_{in},d_{out})$ and the factors have full rank, as almost all do",
    tol=0,
    cases=SHAPES,
)
def multilora_has_rank_nr(case: Case):
    return linalg.matrix_rank(delta(*trained(case)), rtol=1e-10), torch.tensor(N * case.r)


@misconception(
    of=multilora_has_rank_nr,
    statement=r"Factors for every output lift the rank above that of the sum, as a product with $W_0$ would.",
    source="a natural guess; diag(v_i)B_iA_i has the rows of A_i, whatever v_i is",
)
def false_scales_lift_the_rank(case: Case):
    return linalg.matrix_rank(delta(*trained(case)), rtol=1e-10), torch.tensor(min(case.d_out, case.d_in))


@claim(
    statement=r"MultiLoRA trains $n(r(d_{in}+d_{out})+d_{out})$ numbers.",
    source=f"{WANG}, section 4",
    tol=0,
    cases=SHAPES,
)
def multilora_trains_scales_too(case: Case):
    numbers = sum(p.numel() for p in fresh(case)[1].parameters())
    return torch.tensor(numbers), torch.tensor(N * (case.r * (case.d_in + case.d_out) + case.d_out))


@misconception(
    of=multilora_trains_scales_too,
    statement=r"It trains as many as one LoRA of the same rank $nr$.",
    source="a natural guess; the factors v are nd_out more",
)
def false_multilora_trains_as_one_lora(case: Case):
    numbers = sum(p.numel() for p in fresh(case)[1].parameters())
    return torch.tensor(numbers), torch.tensor(LowRankForm().count(case.d_out, case.d_in, N * case.r))


@claim(
    statement=r"$v=0$ at the start: $W=W_0$ though no $B_i$ is zero, and the first step moves $v$ alone, by "
    r"$\partial L/\partial v_i=s\,(G\odot B_iA_i)\mathbf 1$ with $G=\partial L/\partial W$ ($v$, $A$, $B$ stacked).",
    source="chain rule on W; the start as in MTL-LoRA's code (2410.09437), which compares with MultiLoRA",
    cases=SHAPES,
)
def only_the_scales_move_at_first(case: Case):
    base, update = fresh(case)
    products = [b @ a for b, a in zip(update.B.split(case.r, dim=1), update.A.split(case.r), strict=True)]
    v = torch.stack([(update.s * _slope(case) * p).sum(1) for p in products], dim=1)
    return _first_gradient(base, update, case), _stacked(v, 0 * update.A, 0 * update.B)


@misconception(
    of=only_the_scales_move_at_first,
    statement=r"As $B_i\ne0$, all of $v$, $A$ and $B$ learn from the first step, as if $v$ were 1.",
    source="a natural reading of “B is not zero any more”; now v is what is zero",
)
def false_all_move_at_first(case: Case):
    base, update = fresh(case)
    other = fresh(case)[1]
    other.v.data.fill_(1.0)
    return _first_gradient(base, update, case), _first_gradient(base, other, case)


def _slope(case: Case) -> Tensor:
    """Return G of a loss that is linear in W."""
    return case.randn(case.d_out, case.d_in, stream="slope")


def _first_gradient(base: Frozen, update: ParallelSum, case: Case) -> Tensor:
    (_slope(case) * update.weight(base.matrix)).sum().backward()
    return _stacked(update.v.grad, update.A.grad, update.B.grad)


def _stacked(v: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.cat([v.flatten(), a.flatten(), b.flatten()]).detach()


DEMOCRATIC = Unchecked(
    statement="MultiLoRA's update leans less on its top singular vectors than LoRA's, and serves many tasks better.",
    source=WANG,
    reason="measured on LLaMA from 7B to 65B with a mixture of tasks; a linear toy layer has neither",
)
