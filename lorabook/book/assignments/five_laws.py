"""What the five observations of assignment 4 say, in plain formulas, and which slips each must notice."""

from dataclasses import replace

import torch
from torch import Tensor

from lorabook.axes.form.loha import Hadamard
from lorabook.book.assignments import five_slips as slips
from lorabook.book.assignments.library import Slip
from lorabook.book.assignments.verdict import Observation
from lorabook.claims.case import Case
from lorabook.core.lora import KaimingStart, LowRank

RATE, KEPT = 0.1, 0.5


def delta(case: Case) -> Tensor:
    factors = case.factors()
    return case.s * factors.B @ factors.A


def ranks(case: Case, at_most: int) -> tuple[Tensor, Tensor]:
    both = delta(case) + delta(replace(case, seed=case.seed + 1))
    return torch.linalg.matrix_rank(both, rtol=1e-10).double(), torch.tensor(float(at_most))


def gradient(case: Case) -> Tensor:
    """Return ∂L/∂W at W₀ for L = Σ y²/2."""
    base, x = case.linear(), case.x()
    return (x @ base.matrix.T + base.bias).T @ x


def first(case: Case) -> Tensor:
    a = KaimingStart().build(case.w0(), case.spec()).A
    return -RATE * case.s**2 * gradient(case) @ a.T @ a


def hadamard(case: Case) -> Tensor:
    update = Hadamard(case.linear(), case.factors(), case.spec())
    return (update.s * (update.B @ update.A) * (update.B2 @ update.A2)).detach()


def squares(case: Case) -> tuple[Tensor, Tensor]:
    """Return ‖ȳ‖² and what dropout adds to it in the mean."""
    base, factors, x = case.linear(), case.factors(), case.x(1)
    y = x @ (base.matrix + delta(case)).T + base.bias
    columns = (factors.B @ factors.A).square().sum(0)
    return y.square().sum(), case.s**2 * KEPT / (1 - KEPT) * (x.square().flatten() * columns).sum()


def twice(value: Tensor) -> tuple[Tensor, Tensor]:
    return value, value


WEIGHT, FORWARD, START = LowRank.weight, LowRank.forward, KaimingStart.build
MISSES = "Your claim does not notice a library that {}."
ALPHA = Observation(
    "=", lambda case: twice(2 * delta(case)), lambda case: (2 * delta(case), 4 * delta(case)),
    (
        Slip("no-scale", WEIGHT, slips.unscaled, MISSES.format("forgets the scale in W")),
        Slip("square", WEIGHT, slips.scaled_twice, MISSES.format("multiplies by s twice")),
        Slip("base", WEIGHT, slips.scales_base, MISSES.format("scales W₀ too")),
    ),
)  # fmt: skip
RANKS = Observation(
    "<=", lambda case: ranks(case, 2 * case.r), lambda case: ranks(case, case.r),
    (
        Slip("squashed", WEIGHT, slips.squashed, MISSES.format("puts BA through a tanh")),
        Slip("base", WEIGHT, slips.base_twice, MISSES.format("adds W₀ twice")),
        Slip("product", WEIGHT, slips.multiplies, MISSES.format("multiplies W₀ by the update instead of adding it")),
    ),
)  # fmt: skip
FIRST = Observation(
    "=", lambda case: twice(first(case)), lambda case: (first(case), -RATE * gradient(case)),
    (
        Slip("no-scale", FORWARD, slips.path_unscaled, MISSES.format("forgets the scale in the forward pass")),
        Slip("detached", FORWARD, slips.b_detached, MISSES.format("gives B no gradient")),
        Slip("random", START, slips.both_random, MISSES.format("starts with a B that is not zero")),
        Slip("zero", START, slips.both_zero, MISSES.format("starts with A = 0 and B = 0")),
    ),
)  # fmt: skip
PAIRS = Observation(
    "=", lambda case: twice(hadamard(case)), lambda case: (9 * hadamard(case), 3 * hadamard(case)),
    (
        Slip("added", Hadamard.weight, slips.pairs_added, MISSES.format("adds the two products")),
        Slip("one", Hadamard.weight, slips.one_pair, MISSES.format("leaves the second pair out")),
        Slip("same", Hadamard.weight, slips.same_pair, MISSES.format("takes the first pair twice")),
    ),
)  # fmt: skip
DROPOUT = Observation(
    "~", lambda case: twice(sum(squares(case))), lambda case: twice(squares(case)[0]),
    (
        Slip("none", FORWARD, slips.no_dropout, MISSES.format("forgets the dropout")),
        Slip("shrunk", FORWARD, slips.shrunk, MISSES.format("does not divide by 1 − p")),
        Slip("base", FORWARD, slips.drops_base, MISSES.format("drops inputs of the frozen path too")),
    ),
)  # fmt: skip
