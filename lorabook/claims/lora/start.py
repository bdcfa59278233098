"""Why LoRA starts as it does: not with both factors zero, not with both random."""

import torch

from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.lora.form import HU, starts_at_the_base
from lorabook.core.lora import KaimingStart, LowRank, uniform
from lorabook.core.recipe import Factors

STEPS, RATE = 5, 0.05


def descended(case: Case, factors: Factors):
    """Return W₀ and the effective W after a few steps of gradient descent on Σ y²/2 from these factors."""
    base = case.linear()
    update = LowRank(base, factors, case.spec())
    optimizer = torch.optim.SGD(update.parameters(), lr=RATE)
    for _ in range(STEPS):
        optimizer.zero_grad()
        update(base, case.x()).square().sum().div(2).backward()
        torch.nn.utils.clip_grad_norm_(update.parameters(), 1.0)
        optimizer.step()
    return update.weight(base.matrix).detach(), base.matrix


@claim(
    statement=r"From $A=0$ and $B=0$ nothing ever moves: after any number of steps $W=W_0$.",
    source=r"∂L/∂A = s·BᵀG = 0 and ∂L/∂B = s·GAᵀ = 0: a stationary point",
)
def both_zero_never_moves(case: Case):
    w0 = case.w0()
    return descended(case, Factors(torch.zeros(case.r, case.d_in).to(w0), torch.zeros(case.d_out, case.r).to(w0)))


@misconception(
    of=both_zero_never_moves,
    statement=r"From $B=0$ nothing moves: a product with a zero factor has no gradient.",
    source="a frequent worry; it confuses BA = 0 with ∂(BA) = 0",
)
def false_one_zero_never_moves(case: Case):
    return descended(case, KaimingStart().build(case.w0(), case.spec()))


@misconception(
    of=starts_at_the_base,
    statement=r"With both factors random, $B$ uniform on $\pm1/\sqrt r$, the start is as good as the pretrained model.",
    source=f"codes that make A and B of two nn.Linear and keep torch's own start; {HU}, section 4.1, sets B = 0",
)
def false_both_random_starts_at_the_base(case: Case):
    base = case.linear()
    a = KaimingStart().build(base.matrix, case.spec()).A
    b = uniform(case.d_out, case.r, case.r**-0.5, a, case.generator("B"))
    return LowRank(base, Factors(a, b), case.spec()).weight(base.matrix), base.matrix
