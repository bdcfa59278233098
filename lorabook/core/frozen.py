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

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lorabook.core.dense import Dense
from lorabook.core.plain_layer import LayerShell, copied, tensors_of
from lorabook.core.rebuilt import rebuilt
from lorabook.core.store import Store
from lorabook.core.transforms import traced


class UnsupportedLayer(TypeError):
    """A target is a layer that computes no single matrix product we know."""


class Frozen(nn.Module, ABC):
    """A layer whose W₀ and bias never train.

    `down_project` then `up_project` is the two-path way to apply a product BA: y + B(Ax), through r numbers a position.
    `two_paths` is the same with W₀x in front, as cheap as the layer type allows.
    """

    def __init__(self, layer: nn.Module, w0: Float[Tensor, "d_out d_in"], patch: int = 1) -> None:
        """`patch`: how many columns of W₀ belong to one input channel: 1, or the size of a convolution's kernel."""
        super().__init__()
        self.shell, self.patch, bias = LayerShell(layer), patch, tensors_of(layer).get("bias")
        self.store: Store = Dense(w0)
        self.register_buffer("bias", None if bias is None else bias.detach())

    reads_indices: ClassVar[bool] = False
    """Whether the input is indices, which have no gradient, and which no dropout can zero: an Embedding."""

    reads_vectors: ClassVar[bool] = False
    """Whether each vector along the last axis of the input goes through W₀ on its own, as in a Linear.

    Where it does, a variant may cut inputs and outputs up as its paper does; elsewhere indices or patches come in, and
    it goes by way of `down_project`, `up_project` and `apply_matrix`."""

    @property
    def matrix(self) -> Float[Tensor, "d_out d_in"]:
        """W₀ as the forward pass sees it (dequantised, if it is stored in fewer bits)."""
        return self.store.dense()

    def forward(self, x: Tensor) -> Tensor:
        """Return W₀x + b."""
        return self.times_w0(x, self.bias)

    def times_w0(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return W₀x, plus `bias` if given, keeping no dense copy of a quantised W₀ for the backward pass."""
        # Indices, which an Embedding reads, have no gradient: nothing is kept for them.
        if isinstance(self.store, Dense) or not x.is_floating_point():
            return self.apply_matrix(x, self.store.dense(), bias)
        if traced(x):
            # Torch may neither be given hooks nor asked for addresses: it makes the whole product again instead.
            return rebuilt(lambda x, b: self.apply_matrix(x, self.store.dense(), b), x, bias, reads=(self.store,))
        w0 = _cast_as_autocast_would(self.store.dense())
        with torch.autograd.graph.saved_tensors_hooks(*_rebuild_instead_of_saving(w0, self.store)):
            return self.apply_matrix(x, w0, bias)

    @abstractmethod
    def apply_matrix(self, x: Tensor, m: Float[Tensor, "d_out d_in"], bias: Tensor | None = None) -> Tensor:
        """Return what the layer would compute if its matrix were `m`."""

    @abstractmethod
    def down_project(self, x: Tensor, a: Float[Tensor, "r d_in"]) -> Tensor:
        """Return Ax: r numbers for each position that the layer looks at."""

    @abstractmethod
    def up_project(self, h: Tensor, b: Float[Tensor, "d_out r"], onto: Tensor) -> Tensor:
        """Return onto + Bh, where h came from `down_project`."""

    @abstractmethod
    def two_paths(
        self, x: Tensor, branch: Tensor, a: Float[Tensor, "r d_in"], b: Float[Tensor, "d_out r"], s: float,
        bias: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Return W₀x + s·B(A·branch), plus `bias` if given. `branch` is x, or x after dropout."""

    @abstractmethod
    def per_row(self, v: Float[Tensor, " d_out"]) -> Tensor:
        """Return `v` shaped so that it multiplies or adds to the layer's output, one number per row of W₀."""

    @abstractmethod
    def native(self, w: Float[Tensor, "d_out d_in"]) -> Tensor:
        """Return `w` laid out as the layer's own `weight`."""

    def to_layer(self, w: Float[Tensor, "d_out d_in"], bias: Float[Tensor, " d_out"] | None) -> nn.Module:
        """Return a plain layer, like the one we froze, whose matrix is `w` and whose bias is `bias`: copies of them."""
        return self.shell.holding(copied(self.native(w)), copied(bias))

    def rounded(self, factor: Tensor) -> Tensor:
        """Return a factor in the base's dtype, that of every product: an update of a 16-bit base is kept in float32."""
        return factor.to(self.store.dtype)

    def add_bias(self, y: Tensor) -> Tensor:
        """Return y + b."""
        return y if self.bias is None else y + self.per_row(self.bias)

    def extra_repr(self) -> str:
        d_out, d_in = self.store.shape
        return f"d_out={d_out}, d_in={d_in}, {self.store.dtype}"


def _cast_as_autocast_would(w0: Tensor) -> Tensor:
    """Return W₀ in the dtype of the product: a copy that autocast made inside would be kept, unknown to the hooks."""
    kind = w0.device.type
    if w0.dtype == torch.float64 or not torch.is_autocast_enabled(kind):
        return w0
    return w0.to(torch.get_autocast_dtype(kind))


def _rebuild_instead_of_saving(w0: Tensor, store: Store) -> tuple[Callable, Callable]:
    """Hooks that save, in place of any view of the dequantised W₀, only how to view it."""
    memory, dtype = w0.untyped_storage().data_ptr(), w0.dtype

    def pack(saved: Tensor) -> Tensor | tuple:
        if saved.untyped_storage().data_ptr() != memory:
            return saved
        return saved.size(), saved.stride(), saved.storage_offset()

    def unpack(packed: Tensor | tuple) -> Tensor:
        return packed if isinstance(packed, Tensor) else store.dense().to(dtype).as_strided(*packed)

    return pack, unpack


def add_product(y: Tensor, h: Tensor, b: Tensor, s: float) -> Tensor:
    """Return y + s·hb, for matrices or stacks of them, written into y: no second output is made, nor s·hb.

    y is fresh from W₀x, which needs its inputs and never its output for backward. Under a transform of torch y may be
    one for several adapters (vmap), and is left alone.
    """
    # Autocast has no rule for in-place products: y and h are in its dtype already, b is not.
    b = b.to(h.dtype)
    if traced(y):
        return torch.addmm(y, h, b, alpha=s) if y.dim() == 2 else torch.baddbmm(y, h, b, alpha=s)
    return y.addmm_(h, b, alpha=s) if y.dim() == 2 else y.baddbmm_(h, b, alpha=s)
