"""A frozen layer is one matrix.

Linear, Conv2d, Embedding and transformers' Conv1D each compute y = W₀x + b for one d_out × d_in matrix W₀; they differ
in what "x" is (a token, a patch, a row number) and in how they lay W₀ out. `Frozen` says so once, so that no variant
of LoRA ever mentions a layer type again:

| layer      | W₀ (d_out × d_in)                   | x, for one output                |
| ---------- | ----------------------------------- | -------------------------------- |
| Linear     | weight                              | the input vector                 |
| Conv2d     | weight, flattened to c_out × c_in·k² | the patch under the kernel       |
| Embedding  | weightᵀ                             | the one-hot vector of the index  |
| Conv1D     | weightᵀ                             | the input vector                 |
"""

import sys
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lorabook.base.dense import Dense
from lorabook.base.store import Store


class UnsupportedLayer(TypeError):
    """A target is a layer that computes no single matrix product we know."""


class Frozen(nn.Module, ABC):
    """A layer whose W₀ and bias never train.

    `reduce` then `mix` is the two-path way to apply a product BA: y + B(Ax), through r numbers per position.
    """

    def __init__(self, w0: Float[Tensor, "d_out d_in"], bias: Tensor | None) -> None:
        super().__init__()
        self.store: Store = Dense(w0)
        self.register_buffer("bias", None if bias is None else bias.detach())

    @property
    def matrix(self) -> Float[Tensor, "d_out d_in"]:
        """W₀ as the forward pass sees it (dequantised, if it is stored in fewer bits)."""
        return self.store.dense()

    def forward(self, x: Tensor) -> Tensor:
        """Return W₀x + b."""
        return self.times_w0(x, self.bias)

    def times_w0(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return W₀x, plus `bias` if given, keeping no dense copy of a quantised W₀ for the backward pass."""
        w0 = self.store.dense()
        if isinstance(self.store, Dense):
            return self.apply_matrix(x, w0, bias)
        with torch.autograd.graph.saved_tensors_hooks(*_rebuild_instead_of_saving(w0, self.store)):
            return self.apply_matrix(x, w0, bias)

    @abstractmethod
    def apply_matrix(self, x: Tensor, m: Float[Tensor, "d_out d_in"], bias: Tensor | None = None) -> Tensor:
        """Return what the layer would compute if its matrix were `m`."""

    @abstractmethod
    def reduce(self, x: Tensor, a: Float[Tensor, "r d_in"]) -> Tensor:
        """Return Ax: r numbers for each position that the layer looks at."""

    @abstractmethod
    def mix(self, h: Tensor, b: Float[Tensor, "d_out r"], onto: Tensor) -> Tensor:
        """Return onto + Bh, where h came from `reduce`."""

    @abstractmethod
    def per_row(self, v: Float[Tensor, " d_out"]) -> Tensor:
        """Return `v` shaped so that it multiplies or adds to the layer's output, one number per row of W₀."""

    @abstractmethod
    def native(self, w: Float[Tensor, "d_out d_in"]) -> Tensor:
        """Return `w` laid out as the layer's own `weight`."""

    @abstractmethod
    def thaw(self, w: Float[Tensor, "d_out d_in"]) -> nn.Module:
        """Return a plain layer, like the one we froze, whose matrix is `w`."""

    def add_bias(self, y: Tensor) -> Tensor:
        """Return y + b."""
        return y if self.bias is None else y + self.per_row(self.bias)

    def extra_repr(self) -> str:
        d_out, d_in = self.store.shape
        return f"d_out={d_out}, d_in={d_in}, {self.store.dtype}"


def _rebuild_instead_of_saving(w0: Tensor, store: Store):
    """Hooks that save, in place of any view of the dequantised W₀, only how to view it."""
    memory = w0.untyped_storage().data_ptr()

    def pack(saved: Tensor):
        if saved.untyped_storage().data_ptr() != memory:
            return saved
        return saved.size(), saved.stride(), saved.storage_offset()

    def unpack(packed) -> Tensor:
        return packed if isinstance(packed, Tensor) else store.dense().as_strided(*packed)

    return pack, unpack


class FrozenLinear(Frozen):
    """y = W₀x + b with W₀ = weight."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(layer.weight, layer.bias)
        self.kind = type(layer)

    def apply_matrix(self, x, m, bias=None):
        return F.linear(x, m, bias)

    def reduce(self, x, a):
        return F.linear(x, a)

    def mix(self, h, b, onto):
        return _mix_rows(h, b, onto)

    def per_row(self, v):
        return v

    def native(self, w):
        return w

    def thaw(self, w):
        d_out, d_in = w.shape
        layer = nn.utils.skip_init(self.kind, d_in, d_out, self.bias is not None, device=w.device, dtype=w.dtype)
        return _filled(layer, w, self.bias)


class FrozenConv1D(Frozen):
    """transformers' Conv1D (GPT-2): a Linear that stores its weight as d_in × d_out."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__(layer.weight.T, layer.bias)
        self.kind = type(layer)

    def apply_matrix(self, x, m, bias=None):
        return F.linear(x, m, bias)

    def reduce(self, x, a):
        return F.linear(x, a)

    def mix(self, h, b, onto):
        return _mix_rows(h, b, onto)

    def per_row(self, v):
        return v

    def native(self, w):
        return w.T

    def thaw(self, w):
        d_out, d_in = w.shape
        return _filled(self.kind(d_out, d_in).to(w.device, w.dtype), w.T, self.bias)


class FrozenEmbedding(Frozen):
    """Row i of the table is W₀ times the one-hot vector of i, so W₀ = weightᵀ.

    padding_idx, scale_grad_by_freq and sparse say how a table *trains*. This one is frozen, and ΔW = s·BA has no row of
    its own to hold still: B moves all of them. So they are carried along for `thaw` and play no part before it.
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

    def reduce(self, x, a):
        return F.embedding(x, a.T)

    def mix(self, h, b, onto):
        return _mix_rows(h, b, onto)

    def per_row(self, v):
        return v

    def native(self, w):
        return w.T

    def thaw(self, w):
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

    def reduce(self, x, a):
        # The rows of W₀ in one group see that group's channels only, so A is applied once in every group.
        return self._convolve(x, a.repeat(self.groups, 1).unflatten(1, self.kernel))

    def mix(self, h, b, onto):
        return onto + F.conv2d(h, b[:, :, None, None], groups=self.groups)

    def per_row(self, v):
        return v[:, None, None]

    def native(self, w):
        return w.unflatten(1, self.kernel)

    def thaw(self, w):
        layer = nn.utils.skip_init(
            nn.Conv2d, *self.channels, self.kernel[1:], self.stride, self.padding, self.dilation, self.groups,
            self.bias is not None, self.padding_mode, device=w.device, dtype=w.dtype,
        )  # fmt: skip
        return _filled(layer, self.native(w), self.bias)


def _mix_rows(h: Tensor, b: Tensor, onto: Tensor) -> Tensor:
    """Return onto + hBᵀ with one kernel call: the sum costs no second pass over the output."""
    flat = torch.addmm(onto.reshape(-1, onto.shape[-1]), h.reshape(-1, h.shape[-1]), b.T)
    return flat.view(onto.shape)


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
