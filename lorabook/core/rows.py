"""Layers that map each vector along the last axis on its own: Linear and transformers' Conv1D."""

from abc import ABC
from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lorabook.core.frozen import Frozen, add_product


class FrozenRows(Frozen, ABC):
    """y = F.linear(x, W₀, b) for every vector x."""

    reads_vectors: ClassVar = True

    def apply_matrix(self, x: Tensor, m: Float[Tensor, "d_out d_in"], bias: Tensor | None = None) -> Tensor:
        return F.linear(x, m, bias)

    def down_project(self, x: Tensor, a: Float[Tensor, "r d_in"]) -> Tensor:
        return F.linear(x, self.rounded(a))

    def up_project(self, h: Tensor, b: Float[Tensor, "d_out r"], onto: Tensor) -> Tensor:
        return onto + F.linear(h, self.rounded(b))

    def two_paths(
        self, x: Tensor, branch: Tensor, a: Float[Tensor, "r d_in"], b: Float[Tensor, "d_out r"], s: float,
        bias: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        rows = x.reshape(-1, x.shape[-1])
        y = self.times_w0(rows, bias)
        h = self.down_project(branch.reshape(rows.shape), a)
        return add_product(y, h, b.T, s).view(*x.shape[:-1], len(b))

    def per_row(self, v: Float[Tensor, " d_out"]) -> Tensor:
        return v
