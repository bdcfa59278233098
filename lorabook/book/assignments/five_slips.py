"""How the library is broken for assignment 4: each function stands in for one of the book's.

A slip's code runs with the names of the file whose function it stands in for, so it may use names that are not here.
"""
# ruff: noqa: F821

from torch import Tensor

from lorabook.axes.form.loha import Hadamard
from lorabook.core.frozen import Frozen
from lorabook.core.lora import KaimingStart, LowRank
from lorabook.core.recipe import LayerSpec


def unscaled(self: LowRank | Hadamard, w0: Tensor) -> Tensor:
    return w0 + self.B @ self.A


def scaled_twice(self: LowRank | Hadamard, w0: Tensor) -> Tensor:
    return w0 + self.s**2 * (self.B @ self.A)


def scales_base(self: LowRank | Hadamard, w0: Tensor) -> Tensor:
    return self.s * (w0 + self.B @ self.A)


def squashed(self: LowRank | Hadamard, w0: Tensor) -> Tensor:
    return w0 + self.s * (self.B @ self.A).tanh()


def base_twice(self: LowRank | Hadamard, w0: Tensor) -> Tensor:
    return 2 * w0 + self.s * (self.B @ self.A)


def multiplies(self: LowRank | Hadamard, w0: Tensor) -> Tensor:
    return w0 * (1 + self.s * (self.B @ self.A))


def path_unscaled(self: LowRank, base: Frozen, x: Tensor) -> Tensor:
    return base.two_paths(x, self.drop(x), self.A, self.B, 1.0, base.bias)


def b_detached(self: LowRank, base: Frozen, x: Tensor) -> Tensor:
    return base.two_paths(x, self.drop(x), self.A, self.B.detach(), self.s, base.bias) + 0 * self.B.sum()


def both_random(self: KaimingStart, w0: Tensor, spec: LayerSpec) -> object:
    a = uniform_rows(spec.r, w0.shape[1], w0, spec.generator)
    return Factors(A=a, B=uniform_rows(w0.shape[0], spec.r, w0, spec.generator))


def both_zero(self: KaimingStart, w0: Tensor, spec: LayerSpec) -> object:
    return Factors(A=w0.new_zeros(spec.r, w0.shape[1]), B=w0.new_zeros(w0.shape[0], spec.r))


def pairs_added(self: LowRank | Hadamard, w0: Tensor) -> Tensor:
    return w0 + self.s * (self.B @ self.A + self.B2 @ self.A2)


def one_pair(self: LowRank | Hadamard, w0: Tensor) -> Tensor:
    return w0 + self.s * (self.B @ self.A)


def same_pair(self: LowRank | Hadamard, w0: Tensor) -> Tensor:
    return w0 + self.s * (self.B @ self.A) * (self.B @ self.A)


def no_dropout(self: LowRank, base: Frozen, x: Tensor) -> Tensor:
    return base.two_paths(x, x, self.A, self.B, self.s, base.bias)


def shrunk(self: LowRank, base: Frozen, x: Tensor) -> Tensor:
    return base.two_paths(x, (1 - self.drop.p) * self.drop(x), self.A, self.B, self.s, base.bias)


def drops_base(self: LowRank, base: Frozen, x: Tensor) -> Tensor:
    dropped = self.drop(x)
    return base.two_paths(dropped, dropped, self.A, self.B, self.s, base.bias)
