"""“The update's singular values decay fast”: from where the decay comes, and when there is little of it."""

import torch
from torch import Tensor, nn

from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.low_rank.spectrum import WIDE, gradient
from lorabook.claims.unchecked import Unchecked
from lorabook.cost.spectrum import rank_for

STEPS, TOKENS = 30, 16


def fine_tuned(case: Case, optimiser: type[torch.optim.Optimizer], rate: float, decay: float) -> Tensor:
    """Return ΔW after steps on fresh tokens whose i-th feature has the size i^−decay."""
    w = nn.Parameter(case.w0())
    optimizer = optimiser([w], lr=rate)
    size = 3 * torch.arange(1, case.d_in + 1, dtype=torch.float64) ** -decay
    for t in range(STEPS):
        w.grad = gradient(w.detach(), case.randn(TOKENS, case.d_in, stream=f"tokens {t}") * size)
        optimizer.step()
    return w.detach() - case.w0()


def needed_and_a_fifth(case: Case, change: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rank that keeps 90% of ‖ΔW‖², and a fifth of the full rank."""
    return torch.tensor(float(rank_for(change, 0.9))), torch.tensor(min(case.d_out, case.d_in) / 5)


@claim(
    statement=r"A fifth of the full rank keeps 90% of $\lVert\Delta W\rVert^2$ after 30 steps of SGD.",
    source="Hu et al. 2021 (2106.09685), section 4.1, as a hypothesis; here G = Σ g xᵀ has the spectrum of its inputs",
    when="the inputs have a decaying spectrum themselves (sizes 1, 1/2, 1/3, …), and a step is a multiple of G",
    relation="<=",
    cases=WIDE,
)
def updates_decay_as_their_inputs_do(case: Case):
    return needed_and_a_fifth(case, fine_tuned(case, torch.optim.SGD, 0.01, decay=1.0))


@misconception(
    of=updates_decay_as_their_inputs_do,
    statement=r"Updates have a low intrinsic rank, whatever the inputs are.",
    source="teaching texts; with inputs alike in every direction 90% takes about half of the full rank",
)
def false_updates_decay_on_any_inputs(case: Case):
    return needed_and_a_fifth(case, fine_tuned(case, torch.optim.SGD, 0.01, decay=0.0))


@misconception(
    of=updates_decay_as_their_inputs_do,
    statement=r"Updates have a low intrinsic rank, whatever the optimiser is.",
    source="teaching texts; Adam makes all entries of a step alike in size, and with them the singular values",
)
def false_updates_decay_under_any_optimiser(case: Case):
    return needed_and_a_fifth(case, fine_tuned(case, torch.optim.Adam, 0.003, decay=1.0))


DIRECTIONS_ARE_ENOUGH = Unchecked(
    statement="Adaptation only needs a few directions, since redundant dimensions concentrate the updates.",
    source="a teaching text",
    reason="a picture with no quantity in it; what decides about the rank of an update is in the claims beside this",
)
