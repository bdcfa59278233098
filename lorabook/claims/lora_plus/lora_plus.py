"""Why B should learn faster than A: a coordinate check over widths, instead of a grid of learning rates."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from lorabook.claims.case import Case, ratio_of_means
from lorabook.claims.claim import claim, misconception
from lorabook.core.lora import uniform_rows

HAYOU = "Hayou, Ghosh, Yu 2024 (2402.12354)"
DRAWS, NARROW, WIDE_N, R = 200, 128, 2048, 4
WORLD = (Case(NARROW, WIDE_N, R),)


def moves(case: Case, n: int, seed: int) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Return how far one Adam step of size 1 moves Ax, and how far it moves BAx through B alone, at width n.

    Root mean squares, on the input x that made the gradient. B has left zero, so that A has a gradient.
    """
    stream = f"{n} {seed}"
    a = uniform_rows(R, n, case.randn(1), case.generator("A" + stream))
    x, g = case.randn(n, stream="x" + stream), case.randn(n, stream="g" + stream)
    b = case.randn(n, R, stream="B" + stream) / n
    step_a = torch.outer(b.T @ g, x).sign()
    step_b = torch.outer(g, a @ x).sign()
    return (step_a @ x).square().mean().sqrt(), (step_b @ (a @ x)).square().mean().sqrt()


def growth(case: Case, which: int) -> tuple[Tensor, Tensor]:
    """Return the move at width 2048 over the move at width 128, with its standard error."""
    wide, narrow = (torch.stack([moves(case, n, i)[which] for i in range(DRAWS)]) for n in (WIDE_N, NARROW))
    return ratio_of_means(wide, narrow)


def move_of_b(case: Case) -> tuple[Tensor, Tensor]:
    """Return the mean move through B at both widths, with its standard error."""
    moved = torch.stack([torch.stack([moves(case, n, i)[1] for i in range(DRAWS)]) for n in (NARROW, WIDE_N)])
    return moved.mean(1), moved.std(1) / DRAWS**0.5


MOVE_OF_B = R * (2 / (3 * math.pi)) ** 0.5
"""Σ_i |(Ax)_i| over r entries, each normal with variance 1/3 where A is drawn by Kaiming's rule and x is normal."""


@claim(
    statement=r"One Adam step of size $\eta_A$ moves $Ax$ by $\Theta(n\,\eta_A)$: the same step size is 16 times "
    r"larger in effect at 16 times the width.",
    source=f"{HAYOU}, section 4; Σ_j |x_j| has n terms of one sign",
    relation="~",
    cases=WORLD,
)
def a_moves_with_the_width(case: Case):
    estimate, error = growth(case, 0)
    return estimate, torch.tensor(WIDE_N / NARROW, dtype=torch.float64), error


@claim(
    statement=r"One Adam step of size $\eta_B$ moves $BAx$ by $\eta_B\,r\sqrt{2/3\pi}$ on average, at every width. So "
    r"$\eta_B/\eta_A=\Theta(n)$: B may learn faster.",
    source=f"{HAYOU}, theorem 1 and section 5; Σ_i |(Ax)_i| for the constant",
    relation="~",
    cases=WORLD,
)
def b_moves_alike_at_every_width(case: Case):
    estimate, error = move_of_b(case)
    return estimate, torch.full((2,), MOVE_OF_B, dtype=torch.float64), error


@misconception(
    of=b_moves_alike_at_every_width,
    statement=r"It is $A$ that should learn faster: $B$'s step grows with the width.",
    source="the ratio read the other way round, as printed in texts in circulation",
)
def false_a_should_learn_faster(case: Case):
    estimate, error = move_of_b(case)
    return estimate, MOVE_OF_B * torch.tensor([1.0, WIDE_N / NARROW], dtype=torch.float64), error
