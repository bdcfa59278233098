"""What LoRA on q and k does to an attention score: a frozen term, two of first order in s, one of second.

(q₀ + Δq)·(k₀ + Δk) = q₀·k₀ + (q₀·Δk + Δq·k₀) + Δq·Δk
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lorabook.core.adapted_layer import Adapted
from lorabook.models.decoder import Attention, rotate

Scores = Float[Tensor, "batch heads length length"]


@dataclass(frozen=True)
class ScoreTerms:
    """The three parts of q·k/√d_head, for every pair of positions."""

    frozen: Scores
    first: Scores
    second: Scores

    @property
    def total(self) -> Scores:
        """The score that the adapted model uses."""
        return self.frozen + self.first + self.second

    def sizes(self) -> tuple[float, float, float]:
        """Return the root mean square of each part."""
        return tuple(part.square().mean().sqrt().item() for part in (self.frozen, self.first, self.second))


@torch.no_grad()
def score_terms(attention: Attention, x: Float[Tensor, "batch length hidden"], cos: Tensor, sin: Tensor) -> ScoreTerms:
    """Return the parts of the scores of one attention module whose q_proj and k_proj are adapted.

    Each of q₀, Δq, k₀, Δk is rotated to its position first: rotation is linear, so the rotated parts add up to the
    rotated sum. Without it they do not add up to the score.

    Raises:
        TypeError: q_proj or k_proj is not adapted.
    """
    q0, dq = _parts(attention, "q_proj", attention.heads, x)
    k0, dk = _parts(attention, "k_proj", attention.kv_heads, x)
    q0, dq, k0, dk = (rotate(part, cos, sin) for part in (q0, dq, k0, dk))
    group = attention.heads // attention.kv_heads
    k0, dk = (part.repeat_interleave(group, dim=1) for part in (k0, dk))

    def scores(q: Tensor, k: Tensor) -> Scores:
        return q @ k.transpose(-1, -2) / attention.d_head**0.5

    return ScoreTerms(scores(q0, k0), scores(q0, dk) + scores(dq, k0), scores(dq, dk))


def _parts(attention: Attention, name: str, heads: int, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return a projection's frozen output and what its update adds, split into heads."""
    layer = getattr(attention, name)
    if not isinstance(layer, Adapted):
        raise TypeError(f"{name} is not adapted: inject with targets that match q_proj and k_proj")
    frozen = layer.base(x)
    batch, length, _ = x.shape
    return tuple(
        part.view(batch, length, heads, attention.d_head).transpose(1, 2) for part in (frozen, layer(x) - frozen)
    )
