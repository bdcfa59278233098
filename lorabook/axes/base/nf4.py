"""NF4 storage: W₀ in four bits a weight and one float32 absmax for every 64 of them, 4.5 bits in all."""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn

from lorabook.axes.base.blocks import dequantise, quantise
from lorabook.core.finite import refuse_not_finite
from lorabook.core.frozen import Frozen
from lorabook.core.recipe import Recipe
from lorabook.core.store import Store

SHAPE = "shape"
"""Beside the buffers in a file: d_out and d_in. No buffer itself, so that `nbytes` is what the paper counts."""


class FourBit(Store):
    """W₀ as packed NF4 codes. What differs between the final classes is how the absmax of every block is kept.

    Moving, saving, copying and casting the model are safe: the codes and all constants are integer buffers, which
    `model.half()` leaves alone. A cast changes one thing, the dtype of `dense()`.
    """

    packed: UInt8[Tensor, " bytes"]

    def __init__(self, w0: Float[Tensor, "d_out d_in"], packed: UInt8[Tensor, " bytes"]) -> None:
        super().__init__()
        self.register_buffer("packed", packed)
        # No bytes, only facts: the shape of W₀, and a dtype and device that follow the model's. Files do without it:
        # accelerate, which looks for shared memory, takes all empty tensors for one.
        self.register_buffer("like", w0.new_empty(*w0.shape, 0), persistent=False)

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + SHAPE] = torch.tensor(self.shape)

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, local_metadata: dict, strict: bool, missing_keys: list,
        unexpected_keys: list, error_msgs: list,
    ) -> None:  # fmt: skip
        # Codes of a matrix and of its transpose are as many: only the shape tells them apart.
        shape = state_dict.pop(prefix + SHAPE, None)
        if shape is not None and tuple(shape.tolist()) != tuple(self.shape):
            error_msgs.append(
                f"size mismatch for {prefix}packed: of a {tuple(shape.tolist())} matrix, not {self.shape}"
            )
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )

    @property
    @abstractmethod
    def absmax(self) -> Float32[Tensor, " blocks"]:
        """The scale of every block of 64 weights, as the forward pass uses it."""

    def dense(self) -> Float[Tensor, "d_out d_in"]:
        return dequantise(self.packed, self.absmax, self.shape, self.dtype)

    @property
    def shape(self) -> torch.Size:
        return self.like.shape[:-1]

    @property
    def dtype(self) -> torch.dtype:
        return self.like.dtype

    @property
    def device(self) -> torch.device:
        return self.like.device


class NF4(FourBit):
    """ŵ = absmax_j·code: 4 + 32/64 = 4.5 bits a weight.

    Source: Dettmers et al. 2023 (2305.14314), section 3.
    """

    def __init__(self, w0: Float[Tensor, "d_out d_in"]) -> None:
        packed, absmax = quantise(w0)
        super().__init__(w0, packed)
        self.register_buffer("absmax_bits", absmax.view(torch.int32))

    @property
    def absmax(self) -> Float32[Tensor, " blocks"]:
        return self.absmax_bits.view(torch.float32)


@dataclass(frozen=True)
class NF4Storage:
    """The value on the base axis: W₀ in NF4."""

    def build(self, w0: Float[Tensor, "d_out d_in"]) -> NF4:
        return NF4(w0)

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        refuse_not_finite(
            f"{name}.weight", base.matrix, "no store in few bits can keep them. Repair it, or leave this layer out"
        )

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return 0
