"""What the five observations of assignment 4 say, in plain formulas, and how the library is broken for each.

A slip's code runs with the names of the file whose function it stands in for.
"""
# ruff: noqa: F821

from dataclasses import replace

import torch
from torch import Tensor

from lorabook.axes.form.loha import Hadamard
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


def unscaled(self, w0):
    return w0 + self.B @ self.A


def scaled_twice(self, w0):
    return w0 + self.s**2 * (self.B @ self.A)


def scales_base(self, w0):
    return self.s * (w0 + self.B @ self.A)


def squashed(self, w0):
    return w0 + self.s * (self.B @ self.A).tanh()


def base_twice(self, w0):
    return 2 * w0 + self.s * (self.B @ self.A)


def multiplies(self, w0):
    return w0 * (1 + self.s * (self.B @ self.A))


def path_unscaled(self, base, x):
    return base.two_paths(x, self.drop(x), self.A, self.B, 1.0, base.bias)


def b_detached(self, base, x):
    return base.two_paths(x, self.drop(x), self.A, self.B.detach(), self.s, base.bias) + 0 * self.B.sum()


def both_random(self, w0, spec):
    a = uniform_rows(spec.r, w0.shape[1], w0, spec.generator)
    return Factors(A=a, B=uniform_rows(w0.shape[0], spec.r, w0, spec.generator))


def both_zero(self, w0, spec):
    return Factors(A=w0.new_zeros(spec.r, w0.shape[1]), B=w0.new_zeros(w0.shape[0], spec.r))


def pairs_added(self, w0):
    return w0 + self.s * (self.B @ self.A + self.B2 @ self.A2)


def one_pair(self, w0):
    return w0 + self.s * (self.B @ self.A)


def same_pair(self, w0):
    return w0 + self.s * (self.B @ self.A) * (self.B @ self.A)


def no_dropout(self, base, x):
    return base.two_paths(x, x, self.A, self.B, self.s, base.bias)


def shrunk(self, base, x):
    return base.two_paths(x, (1 - self.drop.p) * self.drop(x), self.A, self.B, self.s, base.bias)


def drops_base(self, base, x):
    dropped = self.drop(x)
    return base.two_paths(dropped, dropped, self.A, self.B, self.s, base.bias)


WEIGHT, FORWARD, START = LowRank.weight, LowRank.forward, KaimingStart.build
MISSES = "Your claim does not notice a library that {}."
ALPHA = Observation(
    "=", lambda case: twice(2 * delta(case)), lambda case: (2 * delta(case), 4 * delta(case)),
    (
        Slip("no-scale", WEIGHT, unscaled, MISSES.format("forgets the scale in W")),
        Slip("square", WEIGHT, scaled_twice, MISSES.format("multiplies by s twice")),
        Slip("base", WEIGHT, scales_base, MISSES.format("scales W₀ too")),
    ),
)  # fmt: skip
RANKS = Observation(
    "<=", lambda case: ranks(case, 2 * case.r), lambda case: ranks(case, case.r),
    (
        Slip("squashed", WEIGHT, squashed, MISSES.format("puts BA through a tanh")),
        Slip("base", WEIGHT, base_twice, MISSES.format("adds W₀ twice")),
        Slip("product", WEIGHT, multiplies, MISSES.format("multiplies W₀ by the update instead of adding it")),
    ),
)  # fmt: skip
FIRST = Observation(
    "=", lambda case: twice(first(case)), lambda case: (first(case), -RATE * gradient(case)),
    (
        Slip("no-scale", FORWARD, path_unscaled, MISSES.format("forgets the scale in the forward pass")),
        Slip("detached", FORWARD, b_detached, MISSES.format("gives B no gradient")),
        Slip("random", START, both_random, MISSES.format("starts with a B that is not zero")),
        Slip("zero", START, both_zero, MISSES.format("starts with A = 0 and B = 0")),
    ),
)  # fmt: skip
PAIRS = Observation(
    "=", lambda case: twice(hadamard(case)), lambda case: (9 * hadamard(case), 3 * hadamard(case)),
    (
        Slip("added", Hadamard.weight, pairs_added, MISSES.format("adds the two products")),
        Slip("one", Hadamard.weight, one_pair, MISSES.format("leaves the second pair out")),
        Slip("same", Hadamard.weight, same_pair, MISSES.format("takes the first pair twice")),
    ),
)  # fmt: skip
DROPOUT = Observation(
    "~", lambda case: twice(sum(squares(case))), lambda case: twice(squares(case)[0]),
    (
        Slip("none", FORWARD, no_dropout, MISSES.format("forgets the dropout")),
        Slip("shrunk", FORWARD, shrunk, MISSES.format("does not divide by 1 − p")),
        Slip("base", FORWARD, drops_base, MISSES.format("drops inputs of the frozen path too")),
    ),
)  # fmt: skip
