"""How AdaLoRA's budget falls, and how it is often said to."""

import torch
from torch import Tensor

from lorabook.axes.rule.schedule import CubicBudget
from lorabook.claims.adalora.adalora import PAPER
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception


def _budgets(case: Case, midway: int) -> tuple[Tensor, Tensor]:
    start, target = 80 * case.r, 16 * case.r
    schedule = CubicBudget(total_steps=130, warm_up=20, final=30, every=1)
    at = [schedule.budget(t, start, target) for t in (0, 20, 60, 100, 129)]
    return torch.tensor(at), torch.tensor([start, start, midway, target, target])


@claim(
    statement=r"$b(t)$ is $b_0$ until warm-up ends, $b_T+\frac18(b_0-b_T)$ half-way, and $b_T$ in the final phase.",
    source=f"{PAPER}, equation 12: (1 − 1/2)³ = 1/8",
)
def the_budget_falls_as_a_cubic(case: Case) -> tuple[Tensor, Tensor]:
    return _budgets(case, midway=24 * case.r)


@misconception(
    of=the_budget_falls_as_a_cubic,
    statement=r"The rank falls in equal steps: $r(t)=r_0-\frac tT\,\Delta r$.",
    source="a formula in circulation; it is linear, knows no phases, and gives every layer the same rank",
)
def false_the_budget_falls_in_equal_steps(case: Case) -> tuple[Tensor, Tensor]:
    return _budgets(case, midway=48 * case.r)
