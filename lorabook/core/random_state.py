"""The state of Python's random numbers as a tensor, for a checkpoint: torch.load reads tensors without running code."""

import random

import torch
from torch import Tensor


def state_of(source: random.Random) -> Tensor:
    """Return the state of a source of random numbers."""
    version, words, _ = source.getstate()
    return torch.tensor([version, *words])


def restore(source: random.Random, state: Tensor) -> None:
    """Let a source go on from a state that `state_of` returned."""
    version, *words = state.tolist()
    source.setstate((version, tuple(words), None))
