"""Two rates, α and the size of A's start: under Adam, three ways to write one run."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lorabook.axes.optim.lora_plus import LoRAPlusAdamW
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA

RATE, RATIO, STEPS = 1e-2, 16.0, 5
NEVER_ZERO = 1e-30
"""Stands for ε = 0: with B = 0 the first gradient of A is 0, and 0/(0 + 0) is no number."""
Optimiser = Callable[[dict[str, Tensor]], torch.optim.Optimizer]


def change(case: Case, optimiser: Optimiser, alpha: float = 1.0, start: float = 1.0) -> Tensor:
    """Return ΔW after five steps of LoRA with α and A's start times these numbers, and ε = 0."""
    model = nn.Sequential(nn.Linear(case.d_in, case.d_out, dtype=torch.float64))
    model[0].weight.data, model[0].bias.data = case.w0(), case.randn(case.d_out, stream="bias")
    update = inject(model, LoRA(case.r, alpha * case.alpha), "0", case.generator("A"))["0"].update
    update.A.data *= start
    optimizer = optimiser({"A": update.A, "B": update.B})
    for group in optimizer.param_groups:
        group["eps"] = NEVER_ZERO
    for _ in range(STEPS):
        optimizer.zero_grad()
        (model(case.x()) - case.randn(11, case.d_out, stream="y")).square().sum().backward()
        optimizer.step()
    return (update.weight(case.w0()) - case.w0()).detach()


def two_rates(rate_a: float, rate_b: float) -> Optimiser:
    """Return AdamW with a rate for A and one for B."""
    return lambda named: torch.optim.AdamW(
        [{"params": [named["A"]], "lr": rate_a}, {"params": [named["B"]], "lr": rate_b}], weight_decay=0.0
    )


def one_rate(lr: float) -> Optimiser:
    """Return LoRA's AdamW."""
    return two_rates(lr, lr)


def lora_plus_adamw(named: dict[str, Tensor]) -> torch.optim.Optimizer:
    """Return LoRA+'s AdamW at the rate and the ratio of this file."""
    return LoRAPlusAdamW(RATIO).build(named, RATE)


WHEN = "Adam's ε is negligible, B starts at zero, nothing is clipped and no weight decays"


@claim(
    statement=r"Under Adam, LoRA with $\frac{\alpha}{pq}$, $p\,A_0$, $p\,\eta_A$ and $q\,\eta_B$ makes the same "
    r"$\Delta W$ at every step, whatever $p,q>0$ ($p=3$, $q=\frac17$; after five steps).",
    source="the gradients of A and B become 1/p and 1/q of what they were, and Adam's step does not feel it: A stays p "
    "times, B q times as large, and s·BA the same",
    tol=1e-12,
    when=WHEN,
)
def start_alpha_and_rates_are_one_run(case: Case):
    p, q = 3.0, 1 / 7
    scaled = change(case, two_rates(p * RATE, q * 2 * RATE), alpha=1 / (p * q), start=p)
    return scaled, change(case, two_rates(RATE, 2 * RATE))


@claim(
    statement=r"LoRA+ with ratio $\lambda=16$ at rate $\eta$ is LoRA at the one rate $\sqrt\lambda\,\eta$, from an "
    r"$A_0$ that is $\sqrt\lambda$ times as large.",
    source="p = √λ, q = 1/√λ",
    tol=1e-12,
    when=WHEN,
)
def lora_plus_is_half_a_change_of_the_start(case: Case):
    return change(case, lora_plus_adamw), change(case, one_rate(RATIO**0.5 * RATE), start=RATIO**0.5)


@claim(
    statement=r"LoRA+ with ratio $\lambda=16$ is LoRA with $\lambda\alpha$ in place of $\alpha$, at the same rate "
    r"$\eta$.",
    source="p = 1, q = 1/λ",
    tol=1e-12,
    when=WHEN,
)
def lora_plus_is_lora_with_a_larger_alpha(case: Case):
    return change(case, lora_plus_adamw), change(case, one_rate(RATE), alpha=RATIO)


@misconception(
    of=lora_plus_is_lora_with_a_larger_alpha,
    statement=r"LoRA+ is LoRA at a higher rate: $\lambda\eta$ for both factors does the same.",
    source="“B learns faster” taken for “LoRA learns faster”; A then moves λ times as far too",
)
def false_lora_plus_is_a_higher_rate(case: Case):
    return change(case, lora_plus_adamw), change(case, one_rate(RATIO * RATE))
