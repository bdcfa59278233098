"""What a higher rank can do against underfitting: fit what the lower one had to leave out, and nothing beyond."""

import torch
from torch import Tensor

from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.core.frozen import Frozen
from lorabook.core.lora import LowRank
from lorabook.core.recipe import Factors
from lorabook.cost.spectrum import energy_kept, nearest_of_rank

CASES = (Case(12, 9, 2), Case(9, 16, 3), Case(20, 20, 4))


def target(case: Case) -> Tensor:
    """Return a change of rank 2r that a task asks for."""
    return nearest_of_rank(case.randn(case.d_out, case.d_in, stream="target"), 2 * case.r)


def left_over(case: Case, r: int) -> Tensor:
    """Return ‖T − sBA‖²/‖T‖² for a LoRA whose s·BA is the best that rank r can do."""
    wanted = target(case)
    u, sigma, vt = torch.linalg.svd(wanted, full_matrices=False)
    factors = Factors(A=vt[:r].clone(), B=u[:, :r] * sigma[:r] / case.s)
    base: Frozen = case.linear()
    delta = LowRank(base, factors, case.spec()).weight(base.matrix).detach() - base.matrix
    return (wanted - delta).square().sum() / wanted.square().sum()


@claim(
    statement=r"A LoRA of rank $r$ must leave $1-\sum_{i\le r}\sigma_i^2/\sum_i\sigma_i^2$ of the wanted change "
    r"undone: raising $r$ helps until its rank is reached (stacked: $r$, $2r$ where the change has rank $2r$).",
    source="Eckart, Young 1936",
    when="what is missing is rank, and not rate, data or the scale",
    cases=CASES,
)
def more_rank_fits_more(case: Case):
    ranks = (case.r, 2 * case.r)
    undone = torch.tensor([1 - energy_kept(target(case), r) for r in ranks], dtype=torch.float64)
    return torch.stack([left_over(case, r) for r in ranks]), undone


@misconception(
    of=more_rank_fits_more,
    statement=r"Twice the rank leaves half undone, always.",
    source="“underfitting: increase r”, taken for a proportion",
)
def false_more_rank_always_helps(case: Case):
    undone = left_over(case, case.r)
    return torch.stack([undone, left_over(case, 2 * case.r)]), torch.stack([undone, undone / 2])
