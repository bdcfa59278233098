"""Do two adapters get in each other's way? What they read, what they write, and whether their ΔW cancel."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor, linalg

from lorabook.many.pair import Pair, State, check_named, check_pair
from lorabook.many.row_space import row_basis


def principal_cosines(one: Float[Tensor, "n d"], other: Float[Tensor, "m d"]) -> Float[Tensor, " least"]:
    """Return cos θ₁ ≥ cos θ₂ ≥ … of the principal angles between two row spaces: the singular values of Q₁Q₂ᵀ.

    They belong to the spaces: A and GA, for any invertible G, have the same.

    Source: Björck, Golub 1973.
    """
    return linalg.svdvals(row_basis(one) @ row_basis(other).T).clamp(0, 1)


def overlap(one: Float[Tensor, "n d"], other: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
    """Return the mean of cos² θ: 0 for orthogonal row spaces, 1 if one holds the other, max(n, m)/d by chance.

    Source: Hu et al. 2021 (2106.09685), section 7.2 (their φ).
    """
    cosines = principal_cosines(one, other)
    # A factor that is all zeros spans nothing, and nothing overlaps with it.
    return cosines.square().mean() if cosines.numel() else cosines.new_zeros(())


def inner(one: Pair, other: Pair) -> Float[Tensor, ""]:
    """Return ⟨ΔW₁, ΔW₂⟩ = s₁s₂·Σ (B₁ᵀB₂) ⊙ (A₁A₂ᵀ), without building either ΔW."""
    b, a = one.B.double().T @ other.B.double(), one.A.double() @ other.A.double().T
    return one.scale * other.scale * (b * a).sum()


def cosine(one: Pair, other: Pair) -> Float[Tensor, ""]:
    """Return the cosine between ΔW₁ and ΔW₂: below zero they undo each other, −1 is negation; 0 if one is zero."""
    sizes = _norm(one) * _norm(other)
    return (inner(one, other) / sizes).clamp(-1, 1) if sizes > 0 else torch.zeros_like(sizes)


def _norm(pair: Pair) -> Float[Tensor, ""]:
    """Return ‖ΔW‖, and 0 where it is no more than rounding: a sum of adapters that was taken back has no direction."""
    square, factors = inner(pair, pair), pair.scale * pair.A.double().norm() * pair.B.double().norm()
    return square.sqrt() if square > 1e-14 * factors.square() else torch.zeros_like(square)


def cancelled(one: Pair, other: Pair) -> Float[Tensor, ""]:
    """Return 1 − ‖ΔW₁ + ΔW₂‖₁/(‖ΔW₁‖₁ + ‖ΔW₂‖₁): the share of all changes that opposite signs take back.

    Entry by entry 2·min(|a|, |b|) is lost where the signs of a and b differ, which is what sign election (TIES) is
    about; counting entries alone would let a thousand tiny ones outvote a large one.

    Source: Yadav et al. 2023 (TIES-Merging, 2306.01708), section 3, for the signs; the share in place of a count is
    ours.
    """
    a, b = (pair.scale * pair.B.double() @ pair.A.double() for pair in (one, other))
    total = a.abs().sum() + b.abs().sum()
    return 1 - (a + b).abs().sum() / total if total > 0 else torch.zeros_like(total)


@dataclass(frozen=True)
class Conflict:
    """Two adapters on one layer.

    inputs, outputs: overlap of what they read (rows of A) and of what they write (columns of B), from 0 to 1. Either at
        0 means ⟨ΔW₁, ΔW₂⟩ = 0; only inputs = 0 means that neither answers what the other reads.
    by_chance: the `inputs` of random adapters of these ranks.
    cosine: between the two ΔW. cancelled: the share of all changes that opposite signs take back.
    """

    layer: str
    one: str
    other: str
    inputs: float
    outputs: float
    by_chance: float
    cosine: float
    cancelled: float


def conflicts(adapters: Mapping[str, State]) -> list[Conflict]:
    """Compare every two adapters on every layer that both touch; those that cancel most come first.

    Adapters without a common layer are not in the list: each is added to a matrix of its own. They can still act on
    each other, through what lies between their layers.

    Raises:
        ValueError: fewer than two adapters, or factors that do not fit together or are not finite.
        TypeError: adapters that are not given by name, each as `pairs_of` gives it.
    """
    check_named(adapters)
    if len(adapters) < 2:
        raise ValueError(f"a conflict takes two adapters, and {len(adapters)} is given")
    comparisons = []
    for (one, first), (other, second) in combinations(adapters.items(), 2):
        for layer in first.keys() & second.keys():
            a, b = first[layer], second[layer]
            if len(a.B) != len(b.B) or a.A.shape[1] != b.A.shape[1]:
                raise ValueError(f"{layer} has another shape for {one!r} than for {other!r}: they fit different models")
            for name, pair in ((one, a), (other, b)):
                check_pair(f"adapter {name!r} on {layer}", pair, len(a.B), a.A.shape[1])
            comparisons.append(_compared(layer, one, other, a, b))
    return sorted(comparisons, key=lambda c: (-c.cancelled, c.layer, c.one, c.other))


def _compared(layer: str, one: str, other: str, a: Pair, b: Pair) -> Conflict:
    chance = min(1.0, max(len(a.A), len(b.A)) / a.A.shape[1])
    reads, writes = overlap(a.A, b.A), overlap(a.B.T, b.B.T)
    numbers = (reads.item(), writes.item(), chance, cosine(a, b).item(), cancelled(a, b).item())
    return Conflict(layer, one, other, *numbers)
