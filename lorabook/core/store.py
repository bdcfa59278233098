"""What every way of keeping W₀ must offer: give the matrix back, and say what it costs."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Store(nn.Module, ABC):
    """The frozen matrix W₀ (d_out × d_in), kept in buffers: it moves and saves with the model and never trains."""

    @abstractmethod
    def dense(self) -> Float[Tensor, "d_out d_in"]:
        """Return W₀ as the forward pass sees it. Not a copy where none is needed: do not write to it."""

    @property
    @abstractmethod
    def shape(self) -> torch.Size:
        """(d_out, d_in)."""

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype:
        """The dtype of what `dense()` returns."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where W₀ lives."""

    @property
    def nbytes(self) -> int:
        """Bytes that are really kept, constants included."""
        return sum(buffer.numel() * buffer.element_size() for buffer in self.buffers())
