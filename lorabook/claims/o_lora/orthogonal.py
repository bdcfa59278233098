"""What O-LoRA's orthogonality protects, and what it is only said to protect."""

import torch
from torch import Tensor, linalg

from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.unchecked import Unchecked
from lorabook.core.frozen import Frozen
from lorabook.core.lora import LowRank
from lorabook.many.apart import Projected
from lorabook.many.row_space import outside, row_basis

WANG = "Wang et al. 2023 (2310.14152)"
TEXT = "a teaching text's section on O-LoRA"
SHAPES = (Case(12, 5, 1), Case(7, 16, 3), Case(9, 13, 4))


def earlier(case: Case, task: int, rows: int) -> Tensor:
    """Return one frozen factor of an earlier task, laid out as r rows of this many numbers."""
    return case.randn(case.r, rows, stream=f"task {task} of {rows}") / rows**0.5


def second_task(case: Case) -> tuple[Frozen, LowRank]:
    """Return a layer, and the adapter of a second task whose A the library has projected away from A₁."""
    base = case.linear()
    update = LowRank(base, case.factors(), case.spec())
    Projected({"layer": (update, earlier(case, 1, case.d_in))}).begin(1)
    return base, update


@claim(
    statement=r"$A_tA_i^\top=0$ alone gives $B_tA_tx=0$, and so the output $h(x)$ of before, for every input "
    r"$x=A_i^\top z$.",
    source="A_tA_iᵀz = 0; nothing is asked of B",
    when="the input lies in the row space of A_i",
    cases=SHAPES,
)
def inputs_in_an_earlier_row_space_are_left_alone(case: Case):
    base, update = second_task(case)
    x = case.randn(8, case.r, stream="z") @ earlier(case, 1, case.d_in)
    return update(base, x), base(x)


@misconception(
    of=inputs_in_an_earlier_row_space_are_left_alone,
    statement=r"It holds for every input that task $i$'s adapter responds to, $A_ix\ne0$.",
    source=f"{TEXT}; almost every x has A_ix ≠ 0, and a part outside the row space beside it",
)
def false_inputs_that_an_earlier_adapter_reads_are_left_alone(case: Case):
    base, update = second_task(case)
    return update(base, case.x()), base(case.x())


@misconception(
    of=inputs_in_an_earlier_row_space_are_left_alone,
    statement=r"$B_t^\top B_i=0$ does it: the new output is orthogonal to the old adapter's, so the old task is safe.",
    source=f"{TEXT}, its proof; an orthogonal change is a change",
)
def false_orthogonal_outputs_leave_inputs_alone(case: Case):
    base, x = case.linear(), case.randn(8, case.r, stream="z") @ earlier(case, 1, case.d_in)
    return with_b_outside(case, base)(base, x), base(x)


def with_b_outside(case: Case, base: Frozen) -> LowRank:
    """Return an adapter whose B, and not whose A, is orthogonal to that of the first task."""
    update = LowRank(base, case.factors(), case.spec())
    with torch.no_grad():
        update.B.copy_(outside(update.B.T, row_basis(earlier(case, 1, case.d_out))).T)
    return update


@claim(
    statement=r"What $B_i^\top B_t=0$ does give: $B_i^\top(h+\Delta h)=B_i^\top h$. The output keeps its part along "
    r"$B_i$, and changes beside it.",
    source="B_iᵀB_tA_tx = 0",
    cases=SHAPES,
)
def orthogonal_outputs_keep_the_part_along_b(case: Case):
    base, first = case.linear(), earlier(case, 1, case.d_out)
    return with_b_outside(case, base)(base, case.x()) @ first.T, base(case.x()) @ first.T


@claim(
    statement=r"$\lVert\Delta h\rVert\le\lVert\Delta W_t\rVert_2\,\lVert x-P_ix\rVert$: an old input is changed by no "
    r"more than its part outside $\mathrm{row}(A_i)$ lets through. The guarantee is on that space, not on the data.",
    source="ΔW_t = ΔW_t(I − P_i), P_i the projector on row(A_i)",
    relation="<=",
    cases=SHAPES,
)
def forgetting_is_bounded_by_what_lies_outside(case: Case):
    base, update = second_task(case)
    x, first = case.x(), earlier(case, 1, case.d_in)
    beyond = x - x @ linalg.pinv(first) @ first
    change = update(base, x) - base(x)
    return change.norm(dim=1), linalg.matrix_norm(update.weight(0 * base.matrix), 2) * beyond.norm(dim=1)


@misconception(
    of=forgetting_is_bounded_by_what_lies_outside,
    statement=r"O-LoRA eliminates forgetting: $\Delta h=0$ for the inputs of earlier tasks.",
    source=f"{TEXT}; the paper says “mitigates”",
)
def false_o_lora_eliminates_forgetting(case: Case):
    base, update = second_task(case)
    change = update(base, case.x()) - base(case.x())
    return change.norm(dim=1), torch.zeros(len(change), dtype=torch.float64)


def projected(case: Case, tasks: int) -> Tensor:
    """Return A as the library's hard rule leaves it, after this many earlier tasks."""
    update = LowRank(case.linear(), case.factors(), case.spec())
    rows = torch.cat([earlier(case, i, case.d_in) for i in range(1, tasks + 1)])
    Projected({"layer": (update, rows)}).after_step(0)
    return update.A


@claim(
    statement=r"With one predecessor the projection is $A_t-(A_tA_1^\top)(A_1A_1^\top)^{-1}A_1$.",
    source="least squares: the part of each row of A_t in row(A_1)",
    cases=SHAPES,
)
def one_predecessor_is_projected_out(case: Case):
    a, first = case.factors().A, earlier(case, 1, case.d_in)
    return projected(case, 1), a - (a @ first.T) @ linalg.inv(first @ first.T) @ first


@misconception(
    of=one_predecessor_is_projected_out,
    statement=r"For the other factor, $B_t-B_1(B_1^\top B_t)(B_1^\top B_1)^{-1}$.",
    source=f"{TEXT}; the inverse belongs in the middle, B₁(B₁ᵀB₁)⁻¹B₁ᵀB_t, and in this order needs r_1 = r_t",
)
def false_the_inverse_may_stand_last(case: Case):
    b, first = case.factors().B, earlier(case, 1, case.d_out).T
    return outside(b.T, row_basis(first.T)).T, b - first @ (first.T @ b) @ linalg.inv(first.T @ first)


@claim(
    statement=r"With several predecessors the rows of all of them are projected out together: "
    r"$A_t(I-E^+E)$ with $E=[A_1;A_2]$.",
    source="the projector on a sum of spaces",
    cases=SHAPES,
)
def predecessors_are_projected_out_together(case: Case):
    rows = torch.cat([earlier(case, 1, case.d_in), earlier(case, 2, case.d_in)])
    a = case.factors().A
    return projected(case, 2), a - a @ linalg.pinv(rows) @ rows


@misconception(
    of=predecessors_are_projected_out_together,
    statement=r"One projection for each predecessor, all subtracted: $A_t-\sum_i A_tA_i^\top(A_iA_i^\top)^{-1}A_i$.",
    source=f"{TEXT}; what two of them share is subtracted twice",
)
def false_projections_may_be_subtracted_one_by_one(case: Case):
    return projected(case, 2), _one_by_one(case.factors().A, [earlier(case, i, case.d_in) for i in (1, 2)])


def _one_by_one(a: Tensor, firsts: list[Tensor]) -> Tensor:
    return a - sum(a @ first.T @ linalg.inv(first @ first.T) @ first for first in firsts)


@claim(
    statement=r"$A_t-\sum_i A_tA_i^\top(A_iA_i^\top)^{-1}A_i$ is the joint projection, and for orthonormal rows "
    r"simply $A_t-\sum_i A_tA_i^\top A_i$ (for columns, $B_t-\sum_i B_iB_i^\top B_t$).",
    source="projectors on orthogonal spaces add up",
    when="the predecessors are orthogonal to each other",
    cases=SHAPES,
)
def orthogonal_predecessors_may_be_subtracted_one_by_one(case: Case):
    one = linalg.qr(earlier(case, 1, case.d_in).T).Q.T
    two = linalg.qr(outside(earlier(case, 2, case.d_in), one).T).Q.T
    together = outside(case.factors().A, row_basis(torch.cat([3 * one, 5 * two])))
    a = case.factors().A
    separately = _one_by_one(a, [3 * one, 5 * two])
    return torch.stack([together, together]), torch.stack([separately, a - a @ one.T @ one - a @ two.T @ two])


QUALITY_OF_EACH_TASK = Unchecked(
    statement="On each task O-LoRA is as good as a LoRA of its own, as long as there is room left.",
    source=TEXT,
    reason="a benchmark over language tasks and large models; on linear toy tasks the part of the inputs that lies in "
    "earlier row spaces is out of reach, by an amount that depends on the tasks",
)
