"""What `load` gives: a model, its tokenizer, and where they are."""

from dataclasses import dataclass
from typing import NoReturn

import torch
from torch import nn

from lorabook.models.vocabulary import Vocabulary


@dataclass(frozen=True)
class Loaded:
    """A causal language model ready to adapt: `model(tokens)` gives logits, `tokenizer` has `encode` and `decode`."""

    model: nn.Module
    tokenizer: Vocabulary
    name: str
    device: torch.device
    context: int

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"{name!r} is no attribute of what lorabook.load returns, which holds a model and its tokenizer: if you "
            "gave it where a model is asked for, give its .model"
        )


def place(model: nn.Module, device: torch.device | str | None, dtype: torch.dtype | None) -> torch.device:
    """Move a model to a device (None: the CPU) in a dtype (None: float32), in evaluation mode.

    Raises:
        ValueError: the device is not there or the dtype cannot hold weights.
    """
    where, kind = check_device(device), check_dtype(dtype)
    model.to(device=where, dtype=kind).eval()
    return where


def check_device(device: torch.device | str | None) -> torch.device:
    """Turn what a reader writes into a device that exists here.

    Raises:
        ValueError: naming the device and what to use instead.
    """
    try:
        return torch.empty(0, device=device or "cpu").device
    except (RuntimeError, AssertionError) as error:  # a torch without CUDA raises the second
        raise ValueError(
            f"device={device!r} cannot be used here ({str(error).splitlines()[0]}); torch sees "
            f"{torch.cuda.device_count()} CUDA devices. Use device='cpu', or install a torch built for your GPU."
        ) from error


def check_dtype(dtype: torch.dtype | None) -> torch.dtype:
    """Refuse a dtype that cannot hold weights to adapt.

    Raises:
        ValueError: naming the dtype and the ones to choose from.
    """
    if dtype is None:
        return torch.float32
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point or dtype.itemsize < 2:
        raise ValueError(
            f"dtype={dtype!r} cannot hold weights to adapt; use torch.float32, torch.bfloat16 or torch.float16 "
            f"(fewer bits are the recipe's business: lb.QLoRA())."
        )
    return dtype
