"""TIES and DARE: sums of adapters from which entries of the ΔW are dropped first.

What comes out is dense, of no low rank. As a pair it is (ΔW, I), and `Truncated(r)([pair], [1.0])` is its nearest of
rank r. PEFT's "ties_svd" and "dare_linear_svd" do that at once. Its "ties" and "dare_linear" are other functions: they
drop entries of A and of B, and multiply what is left.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lorabook.many.pair import Pair


def trimmed(delta: Float[Tensor, "d_out d_in"], density: float) -> Float[Tensor, "d_out d_in"]:
    """Return ΔW with its largest entries only, ⌊density·d_out·d_in⌋ of them by size; the others are zero."""
    kept = torch.zeros(delta.numel(), dtype=torch.bool, device=delta.device)
    kept[delta.abs().flatten().topk(int(density * delta.numel())).indices] = True
    return torch.where(kept.view_as(delta), delta, 0)


@dataclass(frozen=True)
class Ties:
    """Trim each ΔW, elect a sign for every entry, and take the mean of the adapters that have this sign.

        ΔW = Σ_{i∈S} w_iΔW_i / |S|,   S = those whose trimmed entry has the sign of Σ_i trimmed(ΔW_i)

    At weights 1 a mean, not a sum: three adapters that agree give one of them, and the weights are a λ to be tuned.

    Raises:
        ValueError: the density is not in (0, 1].

    Source: Yadav et al. 2023 (TIES-Merging, 2306.01708), section 4; PEFT's `ties`, which elects before it weighs.
    """

    density: float = 0.2

    def __post_init__(self) -> None:
        refuse_density(self.density)

    def __call__(self, pairs: Sequence[Pair], weights: Sequence[float]) -> Pair:
        deltas = torch.stack([trimmed(delta_w(pair), self.density) for pair in pairs])
        elected = torch.where(deltas.sum(0) >= 0, 1, -1)
        agreeing = deltas.sign() == elected
        scaled = torch.stack([w * delta for w, delta in zip(weights, deltas, strict=True)])
        return dense((scaled * agreeing).sum(0) / agreeing.sum(0).clamp_min(1))


@dataclass(frozen=True)
class Dare:
    """Drop entries of each ΔW by chance, divide the others by the share that is kept, and add up: the sum on average.

        ΔW = Σ_i w_i·(m_i ⊙ ΔW_i)/density,   m_i = 1 with probability density, else 0

    Raises:
        ValueError: the density is not in (0, 1].

    Source: Yu et al. 2023 (DARE, 2311.03099), section 3.
    """

    density: float
    generator: torch.Generator

    def __post_init__(self) -> None:
        refuse_density(self.density)

    def __call__(self, pairs: Sequence[Pair], weights: Sequence[float]) -> Pair:
        return dense(sum(w * self._dropped(delta_w(pair)) for pair, w in zip(pairs, weights, strict=True)))

    def _dropped(self, delta: Tensor) -> Tensor:
        drawn = torch.rand(delta.shape, generator=self.generator, device=self.generator.device).to(delta.device)
        return torch.where(drawn < self.density, delta / self.density, 0)


def delta_w(pair: Pair) -> Float[Tensor, "d_out d_in"]:
    """Return s·BA."""
    return pair.scale * pair.B @ pair.A


def dense(delta: Float[Tensor, "d_out d_in"]) -> Pair:
    """Return any matrix as a pair: ΔW = I·ΔW."""
    return Pair(delta, torch.eye(len(delta), dtype=delta.dtype, device=delta.device), 1.0)


def refuse_density(density: float) -> None:
    """Raise ValueError unless 0 < density ≤ 1."""
    if not 0 < density <= 1:
        raise ValueError(f"density is {density!r}: the share of the entries that is kept, above 0 and at most 1")
