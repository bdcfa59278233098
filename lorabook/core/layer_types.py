"""The kinds of layer that are one matrix: Linear, transformers' Conv1D, Embedding, Conv2d."""

import sys
from abc import ABC

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorabook.core.frozen import Frozen, UnsupportedLayer


class FrozenRows(Frozen, ABC):
    """A layer that maps each vector along the last axis on its own."""

    def apply_matrix(self, x, m, bias=None):
        return F.linear(x, m, bias)

    def down_project(self, x, a):
        return F.linear(x, a)

    def up_project(self, h, b, onto):
        return onto + F.linear(h, b)

    def kronecker(self, x, c, d, b):
        # (C ⊗ BD)x = vec(B(D X)Cᵀ) for x = vec(X): the product C ⊗ BD, d_out × d_in, is never built.
        h = c @ F.linear(x.unflatten(-1, (c.shape[1], -1)), d)
        return (h if b is None else F.linear(h, b)).flatten(-2)

    def blocks(self, x, a, b, s, onto):
        n = len(a)
        h = torch.bmm(x.reshape(-1, n, x.shape[-1] // n).transpose(0, 1), a.mT)
        slices = onto.view(-1, n, onto.shape[-1] // n).transpose(0, 1)
        slices.baddbmm_(h, b.mT.to(h.dtype), alpha=s)
        return onto

    def each_row(self, x, a, b, onto):
        h = torch.bmm(x.reshape(len(x), -1, x.shape[-1]), a.mT)
        return onto.view(*h.shape[:2], -1).baddbmm_(h, b.mT).view(onto.shape)

    def two_paths(self, x, branch, a, b, s, bias=None):
        rows = x.reshape(-1, x.shape[-1])
        y = self.times_w0(rows, bias)
        return _add_product_in_place(y, F.linear(branch.reshape(rows.shape), a), b, s).view(*x.shape[:-1], len(b))

    def per_row(self, v):
        return v


class FrozenLinear(FrozenRows):
    """y = W₀x + b with W₀ = weight."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(layer.weight, layer.bias)
        self.layer_type = type(layer)

    def native(self, w):
        return w

    def to_layer(self, w, bias):
        d_out, d_in = w.shape
        layer = nn.utils.skip_init(self.layer_type, d_in, d_out, self.bias is not None, device=w.device, dtype=w.dtype)
        return _filled(layer, w, bias)


class FrozenConv1D(FrozenRows):
    """transformers' Conv1D (GPT-2): a Linear that stores its weight as d_in × d_out."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__(layer.weight.T, layer.bias)
        self.layer_type = type(layer)

    def native(self, w):
        return w.T

    def to_layer(self, w, bias):
        d_out, d_in = w.shape
        return _filled(self.layer_type(d_out, d_in).to(w.device, w.dtype), w.T, bias)


class FrozenEmbedding(Frozen):
    """Row i of the table is W₀ times the one-hot vector of i, so W₀ = weightᵀ.

    padding_idx, scale_grad_by_freq and sparse say how a table *trains*. This one is frozen, and ΔW = s·BA has no row of
    its own to hold still: B moves all of them. So they are carried along for `to_layer` and play no part before it.
    """

    def __init__(self, layer: nn.Embedding) -> None:
        if layer.max_norm is not None:
            raise UnsupportedLayer(
                f"an Embedding with max_norm={layer.max_norm} rewrites its weight in every forward pass, so it is not "
                "frozen: clip the table once and build the layer with max_norm=None"
            )
        super().__init__(layer.weight.T, None)
        self.padding_idx, self.by_frequency, self.sparse = layer.padding_idx, layer.scale_grad_by_freq, layer.sparse

    def apply_matrix(self, x, m, bias=None):
        return F.embedding(x, m.T)

    def down_project(self, x, a):
        return F.embedding(x, a.T)

    def up_project(self, h, b, onto):
        return onto + F.linear(h, b)

    def kronecker(self, x, c, d, b):
        # Column j of C ⊗ D is column j // n of C ⊗ column j % n of D.
        right = F.embedding(x % d.shape[1], d.T)
        right = right if b is None else F.linear(right, b)
        return (F.embedding(x // d.shape[1], c.T)[..., None] * right[..., None, :]).flatten(-2)

    def blocks(self, x, a, b, s, onto):
        return self.up_project(self.down_project(x, torch.block_diag(*a)), s * torch.block_diag(*b), onto)

    def each_row(self, x, a, b, onto):
        return _every_row(self, x, a, b, onto)

    def two_paths(self, x, branch, a, b, s, bias=None):
        y = self.times_w0(x.flatten())
        return _add_product_in_place(y, self.down_project(branch.flatten(), a), b, s).view(*x.shape, len(b))

    def per_row(self, v):
        return v

    def native(self, w):
        return w.T

    def to_layer(self, w, bias):
        d_out, d_in = w.shape
        layer = nn.utils.skip_init(
            nn.Embedding, d_in, d_out, self.padding_idx, device=w.device, dtype=w.dtype,
            scale_grad_by_freq=self.by_frequency, sparse=self.sparse,
        )  # fmt: skip
        return _filled(layer, w.T, None)


class FrozenConv2d(Frozen):
    """A convolution is its kernel matrix, c_out × (c_in/groups)·k², applied to every patch."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__(layer.weight.flatten(1), layer.bias)
        self.kernel = layer.weight.shape[1:]
        self.channels = (layer.in_channels, layer.out_channels)
        self.stride, self.padding, self.dilation = layer.stride, layer.padding, layer.dilation
        self.groups, self.padding_mode = layer.groups, layer.padding_mode
        self.border = list(layer._reversed_padding_repeated_twice)

    def _convolve(self, x: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
        if self.padding_mode == "zeros":
            return F.conv2d(x, kernel, bias, self.stride, self.padding, self.dilation, self.groups)
        x = F.pad(x, self.border, mode=self.padding_mode)
        return F.conv2d(x, kernel, bias, self.stride, 0, self.dilation, self.groups)

    def apply_matrix(self, x, m, bias=None):
        return self._convolve(x, m.unflatten(1, self.kernel), bias)

    def down_project(self, x, a):
        # The rows of W₀ in one group see that group's channels only, so A is applied once in every group.
        return self._convolve(x, a.repeat(self.groups, 1).unflatten(1, self.kernel))

    def up_project(self, h, b, onto):
        return onto + F.conv2d(h, b[:, :, None, None], groups=self.groups)

    @property
    def patch(self):
        return self.kernel[1] * self.kernel[2]

    def kronecker(self, x, c, d, b):
        return self.apply_matrix(x, torch.kron(c, d if b is None else b @ d))

    def blocks(self, x, a, b, s, onto):
        return self.up_project(self.down_project(x, torch.block_diag(*a)), s * torch.block_diag(*b), onto)

    def each_row(self, x, a, b, onto):
        return _every_row(self, x, a, b, onto)

    def two_paths(self, x, branch, a, b, s, bias=None):
        return self.up_project(self.down_project(branch, a), s * b, onto=self.times_w0(x, bias))

    def per_row(self, v):
        return v[:, None, None]

    def native(self, w):
        return w.unflatten(1, self.kernel)

    def to_layer(self, w, bias):
        layer = nn.utils.skip_init(
            nn.Conv2d, *self.channels, self.kernel[1:], self.stride, self.padding, self.dilation, self.groups,
            self.bias is not None, self.padding_mode, device=w.device, dtype=w.dtype,
        )  # fmt: skip
        return _filled(layer, self.native(w), bias)


def _every_row(base: Frozen, x: Tensor, a: Tensor, b: Tensor, onto: Tensor) -> Tensor:
    """Return onto + B_n(A_n x_n) for every row n: the paths of a single layer, mapped over the rows by torch."""
    return torch.vmap(base.up_project)(torch.vmap(base.down_project)(x, a), b, onto)


def _add_product_in_place(y: Tensor, h: Tensor, b: Tensor, s: float) -> Tensor:
    """Return y + s·hBᵀ, written into y: no second output is made, and s costs no pass of its own.

    y is fresh from W₀x, which needs its inputs and never its output for backward.
    """
    # Autocast has no rule for in-place products: y and h are in its dtype already, b is not.
    return y.addmm_(h, b.T.to(h.dtype), alpha=s)


def _filled(layer: nn.Module, weight: Tensor, bias: Tensor | None) -> nn.Module:
    """Give a fresh plain layer its numbers, and freeze it again: who merges has finished training."""
    layer.requires_grad_(False)
    layer.weight.copy_(weight)
    if bias is not None:
        layer.bias.copy_(bias)
    return layer


KINDS: dict[type, type[Frozen]] = {
    nn.Linear: FrozenLinear,
    nn.modules.linear.NonDynamicallyQuantizableLinear: FrozenLinear,  # nn.MultiheadAttention.out_proj
    nn.Conv2d: FrozenConv2d,
    nn.Embedding: FrozenEmbedding,
}


def freeze(layer: nn.Module, name: str = "layer") -> Frozen:
    """Return the `Frozen` view of a plain layer, sharing its memory.

    Raises:
        UnsupportedLayer: the exact type of `layer` is none of Linear, Conv2d, Embedding, transformers' Conv1D. A
            subclass may compute something else, so it is not guessed at.
    """
    kind = KINDS.get(type(layer))
    if kind is not None:
        return kind(layer)
    gpt2 = sys.modules.get("transformers.pytorch_utils")  # imported already, if the model uses it
    if gpt2 is not None and type(layer) is gpt2.Conv1D:
        return FrozenConv1D(layer)
    raise UnsupportedLayer(
        f"{name} is a {type(layer).__module__}.{type(layer).__name__}, which is not one of Linear, Conv2d, Embedding "
        "or transformers' Conv1D: choose targets that leave it out"
    )
