"""What α is to the learning rate: exchangeable, under a law that differs from one optimiser to the other."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.lora.form import HU
from lorabook.core.lora import KaimingStart, LowRank
from lorabook.core.recipe import Factors

RATE, TIMES = 0.02, 4.0
ADAM = partial(torch.optim.Adam, eps=1e-30)
SGD = torch.optim.SGD


def update_after(
    case: Case, optimiser: Callable, *, alpha: float = 1.0, start: float = 1.0, lr: float = 1.0, steps: int = 4
) -> Tensor:
    """Return ΔW after a few steps; α, the start of A and the step size are multiplied by the factors given."""
    base = case.linear()
    factors = KaimingStart().build(base.matrix, case.spec())
    update = LowRank(base, Factors(start * factors.A, factors.B), case.spec(alpha * case.s))
    optimizer = optimiser(update.parameters(), lr=lr * RATE)
    for _ in range(steps):
        optimizer.zero_grad()
        (update(base, case.x()).sin().sum() / 10).backward()
        optimizer.step()
    return update.weight(torch.zeros_like(base.matrix)).detach()


@claim(
    statement=r"Under Adam ($\epsilon\to0$), $c\,\alpha$ with step $\eta/\sqrt c$ and a start $A_0/\sqrt c$ is the "
    r"same training as $\alpha$, $\eta$, $A_0$: the same $\Delta W$ after every step.",
    source=f"put A/√c and B/√c for A and B: Adam does not see the size of a gradient; {HU}, section 4.1, says "
    f"“roughly”",
    when="the start of A is scaled too",
)
def alpha_is_a_rate_under_adam(case: Case):
    exchanged = update_after(case, ADAM, alpha=TIMES, start=TIMES**-0.5, lr=TIMES**-0.5)
    return exchanged, update_after(case, ADAM)


@misconception(
    of=alpha_is_a_rate_under_adam,
    statement=r"Under Adam, $c\,\alpha$ is $c\,\eta$: tuning one is tuning the other, and nothing else changes.",
    source="true of the first step alone, in which only B moves",
)
def false_alpha_is_nothing_but_a_rate(case: Case):
    return update_after(case, ADAM, alpha=TIMES), update_after(case, ADAM, lr=TIMES)


@claim(
    statement=r"Under SGD it is $c\,\alpha$ with step $\eta/c$ and a start $A_0/\sqrt c$.",
    source="the same substitution: each gradient is √c times as large, and each step must be √c times smaller",
    when="the start of A is scaled too",
)
def alpha_is_a_rate_under_sgd(case: Case):
    exchanged = update_after(case, SGD, alpha=TIMES, start=TIMES**-0.5, lr=1 / TIMES)
    return exchanged, update_after(case, SGD)


@misconception(
    of=alpha_is_a_rate_under_sgd,
    statement=r"Under SGD the exchange is that of Adam: step $\eta/\sqrt c$.",
    source="the law of one optimiser, used for the other",
)
def false_sgd_trades_as_adam_does(case: Case):
    exchanged = update_after(case, SGD, alpha=TIMES, start=TIMES**-0.5, lr=TIMES**-0.5)
    return exchanged, update_after(case, SGD)


@claim(
    statement=r"Under Adam the first step's $\Delta W$ is proportional to $\alpha$ and to $\eta$ (stacked: twice "
    r"$\alpha$, twice $\eta$).",
    source="B moves by η entry by entry, and s stands before it once",
)
def the_first_adam_step_goes_as_s(case: Case):
    once = update_after(case, ADAM, steps=1)
    doubled = [update_after(case, ADAM, alpha=2.0, steps=1), update_after(case, ADAM, lr=2.0, steps=1)]
    return torch.stack(doubled), torch.stack([2 * once, 2 * once])


@claim(
    statement=r"Under SGD the first step's $\Delta W$ goes as $\alpha^2\eta$: halving $\alpha$ cools it four times, "
    r"halving $\eta$ twice (stacked).",
    source="∂L/∂B = s·GAᵀ, and s stands before B again",
)
def the_first_sgd_step_goes_as_s_squared(case: Case):
    once = update_after(case, SGD, steps=1)
    halved = [update_after(case, SGD, alpha=0.5, steps=1), update_after(case, SGD, lr=0.5, steps=1)]
    return torch.stack(halved), torch.stack([once / 4, once / 2])


@misconception(
    of=the_first_sgd_step_goes_as_s_squared,
    statement=r"Against divergence, halving $\alpha$ and halving $\eta$ do the same.",
    source="a teaching text's “lower the rate and/or α”; under Adam's first step they do, under SGD's they do not",
)
def false_halving_alpha_is_halving_the_rate(case: Case):
    once = update_after(case, SGD, steps=1)
    halved = [update_after(case, SGD, alpha=0.5, steps=1), update_after(case, SGD, lr=0.5, steps=1)]
    return torch.stack(halved), torch.stack([once / 2, once / 2])
