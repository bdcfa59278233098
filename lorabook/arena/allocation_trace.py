"""What AdaLoRA's allocator sees on the way: at some steps the score of every triplet, and which of them live."""

import base64
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, linalg

from lorabook.axes.rule.allocator import Allocator

TIMES = (1, *range(5, 60, 5), 59)
"""The steps, from 0, after which it is looked at: every choice of the record is made at one of them."""
LEAST, FINEST = -14.0, 20
"""Scores are kept as whole numbers, 20 to a factor of ten, above 10⁻¹⁴."""


@dataclass(frozen=True)
class Trace:
    """Scores and masks, packed: base64 of one byte a score, and of one bit a mask, by time, matrix and triplet."""

    shape: tuple[int, ...]
    scores: str
    masks: str

    @cached_property
    def log_scores(self) -> np.ndarray:
        """log₁₀ of the scores."""
        levels = np.frombuffer(base64.b64decode(self.scores), np.uint8)
        return levels.reshape(self.shape) / FINEST + LEAST

    @cached_property
    def lives(self) -> np.ndarray:
        """Which triplets live."""
        bits = np.unpackbits(np.frombuffer(base64.b64decode(self.masks), np.uint8))
        return bits[: np.prod(self.shape)].reshape(self.shape).astype(bool)


def packed(scores: Tensor, masks: Tensor) -> Trace:
    """Return scores and masks by time, matrix and triplet, as they are kept."""
    levels = ((scores.clamp(min=1e-30).log10() - LEAST) * FINEST).round().clamp(0, 255)
    return Trace(tuple(scores.shape), _text(levels.numpy().astype(np.uint8)), _text(np.packbits(masks.numpy())))


class Tracer:
    """Looks at an allocator after every step."""

    def __init__(self, rule: Allocator) -> None:
        self.rule, self.back = rule, set[int]()
        self._scores: list[Tensor] = []
        self._masks: list[Tensor] = []
        self._before = self._mask()

    def look(self, t: int) -> None:
        """Take note of step t."""
        now = self._mask()
        self.back |= set((now & ~self._before).flatten().nonzero().flatten().tolist())
        self._before = now
        if t in TIMES:
            self._masks.append(now)
            self._scores.append(torch.stack(list(self.rule.scores().values())))

    @torch.no_grad()
    def off(self) -> float:
        """Return ‖σ(ΔW) − s|λ|‖ / ‖σ(ΔW)‖ over all matrices, both in order of size."""
        apart = whole = 0.0
        for layer in self.rule.layers.values():
            spectrum = linalg.svdvals(layer.s * layer.B @ (layer.E * layer.A))[: len(layer.E)]
            lambdas = layer.s * layer.E.flatten().abs().sort(descending=True).values
            apart, whole = apart + (spectrum - lambdas).square().sum(), whole + spectrum.square().sum()
        return round(float((apart / whole).sqrt()), 4)

    def trace(self) -> Trace:
        """Return what was seen."""
        return packed(torch.stack(self._scores), torch.stack(self._masks))

    def _mask(self) -> Tensor:
        return torch.stack(list(self.rule.kept.values())).clone()


def _text(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()
