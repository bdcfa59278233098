"""What Kaiming's rule means for A: inputs come out of it with a third of their variance, at every rank."""

from collections.abc import Callable

import torch
from torch import Tensor

from lorabook.axes.scale.unit import UnitScale
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.core.frozen import Frozen
from lorabook.core.lora import KaimingStart
from lorabook.core.recipe import LayerSpec

WORLD = (Case(2, 256, 64),)
RANKS, DRAWS = (4, 16, 64), 24


def reduced(case: Case, start: Callable) -> tuple[Tensor, Tensor]:
    """Return the mean square of Ax, inputs of unit variance, at each rank, and its standard error."""
    base: Frozen = case.linear()
    means, errors = [], []
    for r in RANKS:
        squares = []
        for i in range(DRAWS):
            spec = LayerSpec("layer", r, UnitScale().build(1, r), 0.0, case.generator(f"A {r} {i}"))
            x = case.randn(32, case.d_in, stream=f"x {r} {i}")
            squares.append(base.down_project(x, start(base.matrix, spec)).square().mean())
        squares = torch.stack(squares)
        means.append(squares.mean())
        errors.append(squares.std() / DRAWS**0.5)
    return torch.stack(means), torch.stack(errors)


@claim(
    statement=r"For inputs of unit variance $\mathrm{Var}(Ax)=d_{in}\cdot\frac{1}{3d_{in}}=\frac13$ at every rank "
    r"($r=4$, 16, 64).",
    source="He et al. 2015 (1502.01852) with a = √5: the entries are uniform on ±1/√d_in, of variance 1/(3d_in)",
    relation="~",
    cases=WORLD,
)
def ax_has_a_third_of_the_variance(case: Case):
    estimate, error = reduced(case, lambda w0, spec: KaimingStart().build(w0, spec).A)
    return estimate, torch.full_like(estimate, 1 / 3), error


@misconception(
    of=ax_has_a_third_of_the_variance,
    statement=r"A Gaussian start is the same: $A_{ij}\sim N(0,\frac1{r^2})$ as libraries offer it.",
    source="PEFT's init_lora_weights='gaussian'; it gives Var(Ax) = d_in/r², 256 times more at r = 4 than at r = 64",
)
def false_gaussian_by_rank_is_the_same(case: Case):
    estimate, error = reduced(
        case, lambda w0, spec: case.randn(spec.r, case.d_in, stream=f"{spec.generator.initial_seed()}") / spec.r
    )
    return estimate, torch.full_like(estimate, 1 / 3), error
