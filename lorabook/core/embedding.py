"""Embedding: row i of the table is W₀ times the one-hot vector of i, so W₀ = weightᵀ."""

from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lorabook.core.frozen import Frozen, UnsupportedLayer, add_product


class FrozenEmbedding(Frozen):
    """A table whose input is indices: Ax is row x of Aᵀ.

    padding_idx, scale_grad_by_freq and sparse say how a table *trains*. This one is frozen, and ΔW = s·BA has no row of
    its own to hold still: B moves all of them. So they are carried along for `to_layer` and play no part before it.
    """

    reads_indices: ClassVar = True

    def __init__(self, layer: nn.Embedding) -> None:
        if layer.max_norm is not None:
            raise UnsupportedLayer(
                f"an Embedding with max_norm={layer.max_norm} rewrites its weight in every forward pass, so it is not "
                "frozen: clip the table once and build the layer with max_norm=None"
            )
        super().__init__(layer, layer.weight.T)

    def apply_matrix(self, x: Tensor, m: Float[Tensor, "d_out d_in"], bias: Tensor | None = None) -> Tensor:
        return F.embedding(x, m.T)

    def down_project(self, x: Tensor, a: Float[Tensor, "r d_in"]) -> Tensor:
        return F.embedding(x, self.rounded(a).T)

    def up_project(self, h: Tensor, b: Float[Tensor, "d_out r"], onto: Tensor) -> Tensor:
        return onto + F.linear(h, self.rounded(b))

    def two_paths(
        self, x: Tensor, branch: Tensor, a: Float[Tensor, "r d_in"], b: Float[Tensor, "d_out r"], s: float,
        bias: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        y = self.times_w0(x.flatten())
        return add_product(y, self.down_project(branch.flatten(), a), b.T, s).view(*x.shape, len(b))

    def per_row(self, v: Float[Tensor, " d_out"]) -> Tensor:
        return v

    def native(self, w: Float[Tensor, "d_out d_in"]) -> Tensor:
        return w.T
