"""Delta-LoRA whose W₀ moves from the first step on is another run of LoRA: which one depends on the optimiser."""

from functools import partial

import torch
from torch import Tensor

from lorabook.axes.optim.any_optimizer import AnyOptimizer
from lorabook.axes.optim.lora_plus import LoRAPlusAdamW
from lorabook.axes.rule.delta_lora import DeltaLoRA
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.delta_lora.form import RATE, SHAPES, effective, learn
from lorabook.core.lora import LoRA
from lorabook.core.recipe import Optim, Recipe


def twins(case: Case, mine: Optim, lora: Optim, lr: float) -> tuple[Tensor, Tensor]:
    """Train Delta-LoRA from K = 0 with one optimiser, LoRA of α(1 + λ) with another at `lr`; return both W."""
    delta = DeltaLoRA(case.r, case.alpha, rate=RATE) | Recipe(optim=mine)
    other = LoRA(case.r, case.alpha * (1 + RATE)) | Recipe(optim=lora)
    return effective(learn(case, delta)[0]), effective(learn(case, other, lr)[0])


def adamw(eps: float) -> Optim:
    """Return AdamW with this ε, and some weight decay."""
    return AnyOptimizer(partial(torch.optim.AdamW, eps=eps, weight_decay=0.1))


SGD = AnyOptimizer(partial(torch.optim.SGD, momentum=0.9))
"""Gradient descent with momentum."""


@claim(
    statement=r"From $K=0$ on Delta-LoRA is LoRA with $\alpha(1+\lambda)$, step for step.",
    source="one W, and gradients of A and B that differ by the factor 1 + λ, which Adam divides out",
    when=r"AdamW with $\epsilon$ times $1+\lambda$ for the LoRA (a limit of the gradient's norm likewise); any weight "
    r"decay",
    cases=SHAPES,
)
def it_is_lora_with_a_larger_alpha(case: Case):
    return twins(case, adamw(1e-8), adamw(1e-8 * (1 + RATE)), lr=0.05)


@claim(
    statement=r"Under gradient descent, momentum included, Delta-LoRA with step size $\eta$ is LoRA with "
    r"$\alpha(1+\lambda)$ and step size $\eta/(1+\lambda)$.",
    source="the gradients differ by the factor 1 + λ, and a step is linear in them",
    when=r"$\lambda$ is constant and $K=0$",
    cases=SHAPES,
)
def under_sgd_the_step_is_smaller(case: Case):
    return twins(case, SGD, SGD, lr=0.05 / (1 + RATE))


@misconception(
    of=under_sgd_the_step_is_smaller,
    statement=r"It is LoRA with $\alpha(1+\lambda)$ under every optimiser, at one step size.",
    source="a natural guess: only optimisers that divide the gradient's size out do not notice 1 + λ",
)
def false_under_sgd_the_step_is_the_same(case: Case):
    return twins(case, SGD, SGD, lr=0.05)


@claim(
    statement=r"From $K=0$ on Delta-LoRA is LoRA+ with $\eta_B/\eta_A=1+\lambda$ and the same $\alpha$, step for step.",
    source="LoRA with α(1 + λ) is LoRA with (1 + λ)B, and under Adam that is a B whose steps are 1 + λ times as long",
    when=r"AdamW without weight decay, $\epsilon$ far below the gradients",
    tol=1e-5,
    cases=SHAPES,
)
def it_is_lora_plus(case: Case):
    plain = AnyOptimizer(partial(torch.optim.AdamW, weight_decay=0.0))
    delta = DeltaLoRA(case.r, case.alpha, rate=RATE) | Recipe(optim=plain)
    faster = LoRA(case.r, case.alpha) | Recipe(optim=LoRAPlusAdamW(1 + RATE))
    return effective(learn(case, delta)[0]), effective(learn(case, faster)[0])
