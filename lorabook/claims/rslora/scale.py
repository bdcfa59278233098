"""How large the update's output is as the rank grows: it depends on what made B.

Three regimes, and the verdict differs. n inputs of unit variance; the size is the root mean square of s·BAx.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lorabook.axes.scale.rslora import AlphaOverRootR
from lorabook.claims.case import Case, ratio_of_means
from lorabook.claims.claim import claim, misconception
from lorabook.core.lora import AlphaOverR, uniform_rows
from lorabook.core.recipe import Scale

KALAJDZIEVSKI = "Kalajdzievski 2023 (2312.03732)"
DRAWS, SMALL, LARGE = 200, 4, 64
WORLD = (Case(64, 512, LARGE),)


@dataclass(frozen=True)
class Regime:
    """What made B, how often s enters the output, and the moment of the size for which the law is exact."""

    b: Callable[[Tensor, Tensor, Tensor], Tensor]
    s_enters: int
    moment: int


RANDOM_B = Regime(lambda ax, g, noise: noise, s_enters=1, moment=2)
"""B drawn at random with a fixed variance: the textbook argument."""
ONE_SGD_STEP = Regime(lambda ax, g, noise: -torch.outer(g, ax), s_enters=2, moment=1)
"""B after one step of gradient descent from zero: −η s·g(Ax)ᵀ, so that s enters once through ∂L/∂B and once outside."""
ONE_ADAM_STEP = Regime(lambda ax, g, noise: -torch.outer(g, ax).sign(), s_enters=1, moment=1)
"""B after one step of Adam from zero: only the gradient's sign counts."""


def size(case: Case, r: int, regime: Regime, scale: Scale, seed: int) -> Float[Tensor, ""]:
    """Return the root mean square of s·BAx for one draw of A, x and the output gradient g, at rank r and η = 1."""
    stream = f"{r} {seed}"
    a = uniform_rows(r, case.d_in, case.randn(1), case.generator("A" + stream))
    ax = a @ case.randn(case.d_in, stream="x" + stream)
    b = regime.b(ax, case.randn(case.d_out, stream="g" + stream), case.randn(case.d_out, r, stream="B" + stream))
    return (scale.build(case.alpha, r) ** regime.s_enters * b @ ax).square().mean().sqrt()


def growth(case: Case, regime: Regime, scale: Scale) -> tuple[Tensor, Tensor]:
    """Return the size at r = 64 over the size at r = 4, and its standard error."""
    large, small = (
        torch.stack([size(case, r, regime, scale, i) for i in range(DRAWS)]) ** regime.moment for r in (LARGE, SMALL)
    )
    ratio, error = ratio_of_means(large, small)
    return ratio ** (1 / regime.moment), error * ratio ** (1 / regime.moment) / ratio / regime.moment


def law(exponent: float) -> Tensor:
    """Return what the growth is if the size goes as r^exponent."""
    return torch.tensor((LARGE / SMALL) ** exponent, dtype=torch.float64)


@claim(
    statement=r"Random $B$: with $s=\alpha/\sqrt r$ the output keeps its size as $r$ grows ($r^0$).",
    source=f"{KALAJDZIEVSKI}, theorem 3.2; the variance of a sum of r terms",
    relation="~",
    cases=WORLD,
)
def random_b_is_stable_under_root_r(case: Case):
    estimate, error = growth(case, RANDOM_B, AlphaOverRootR())
    return estimate, law(0), error


@claim(
    statement=r"Random $B$: with $s=\alpha/r$ the output shrinks as $r^{-1/2}$.",
    source="the variance of a sum of r terms",
    relation="~",
    cases=WORLD,
)
def random_b_fades_under_r(case: Case):
    estimate, error = growth(case, RANDOM_B, AlphaOverR())
    return estimate, law(-0.5), error


@claim(
    statement=r"After one SGD step from $B=0$: with $s=\alpha/\sqrt r$ the output keeps its size.",
    source=f"{KALAJDZIEVSKI}, theorem 3.2",
    relation="~",
    cases=WORLD,
)
def sgd_is_stable_under_root_r(case: Case):
    estimate, error = growth(case, ONE_SGD_STEP, AlphaOverRootR())
    return estimate, law(0), error


@claim(
    statement=r"After one SGD step from $B=0$: with $s=\alpha/r$ the output shrinks as $r^{-1}$, not $r^{-1/2}$.",
    source=f"{KALAJDZIEVSKI}, section 3; s enters twice, once through ∂L/∂B",
    relation="~",
    cases=WORLD,
)
def sgd_fades_under_r(case: Case):
    estimate, error = growth(case, ONE_SGD_STEP, AlphaOverR())
    return estimate, law(-1), error


@claim(
    statement=r"After one Adam step from $B=0$, same input: with $s=\alpha/r$ the output keeps its size.",
    source="B is ∓η entry by entry, so s·BAx = s·η·‖Ax‖₁, a sum of r terms of one sign",
    relation="~",
    cases=WORLD,
)
def adam_is_stable_under_r(case: Case):
    estimate, error = growth(case, ONE_ADAM_STEP, AlphaOverR())
    return estimate, law(0), error


@misconception(
    of=adam_is_stable_under_r,
    statement=r"$s=\alpha/\sqrt r$ is rank-stable whatever the optimiser: after one Adam step the output keeps "
    r"its size.",
    source="the theorem is about gradient descent; Adam's first step grows it as √r",
)
def false_root_r_is_stable_under_adam(case: Case):
    estimate, error = growth(case, ONE_ADAM_STEP, AlphaOverRootR())
    return estimate, law(0), error


@misconception(
    of=sgd_fades_under_r,
    statement=r"Random $B$ shows how LoRA's output fades in training: as $r^{-1/2}$.",
    source="the usual “variance argument” uses a random B; training from B = 0 gives another exponent",
)
def false_random_b_shows_the_exponent(case: Case):
    estimate, error = growth(case, ONE_SGD_STEP, AlphaOverR())
    return estimate, law(-0.5), error
