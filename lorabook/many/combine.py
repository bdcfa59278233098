"""One adapter out of several: the weighted sum of their ΔW, exactly, at a smaller rank, or as a sum of factors.

Adding, subtracting, scaling and interpolating adapters are all weights: negation is w = −1, interpolation (1 − t, t).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, linalg

from lorabook.core.whole_number import refuse_unless_whole
from lorabook.many.pair import Pair, State, check_named

Combine = Callable[[Sequence[Pair], Sequence[float]], Pair]
"""Make one pair, of scale 1, from several on one layer and their weights."""


def weighted_sum(pairs: Sequence[Pair], weights: Sequence[float]) -> Float[Tensor, "d_out d_in"]:
    """Return Σ w_i s_i B_iA_i, a dense matrix: what adding up adapters means."""
    return sum(w * pair.scale * pair.B @ pair.A for pair, w in zip(pairs, weights, strict=True))


def concatenated(pairs: Sequence[Pair], weights: Sequence[float]) -> Pair:
    """Return the sum exactly, at rank Σ r_i: [B_1 … B_n] times [w_1s_1A_1; …; w_ns_nA_n].

    PEFT calls it "cat".
    """
    a = [w * pair.scale * pair.A for pair, w in zip(pairs, weights, strict=True)]
    return Pair(torch.cat(a), torch.cat([pair.B for pair in pairs], dim=1), 1.0)


@dataclass(frozen=True)
class Truncated:
    """The matrix of rank r that is nearest to the sum (Eckart, Young 1936). PEFT calls it "svd"."""

    r: int

    def __post_init__(self) -> None:
        refuse_unless_whole("the rank to truncate to", self.r)

    def __call__(self, pairs: Sequence[Pair], weights: Sequence[float]) -> Pair:
        whole = concatenated(pairs, weights)
        # B = Q_b R_b and Aᵀ = Q_a R_a: only the small R_b R_aᵀ needs an SVD, never the d_out × d_in sum.
        q_b, r_b = linalg.qr(whole.B.double())
        q_a, r_a = linalg.qr(whole.A.double().T)
        u, sigma, vt = linalg.svd(r_b @ r_a.T, full_matrices=False)
        a, b = vt[: self.r] @ q_a.T, q_b @ (u[:, : self.r] * sigma[: self.r])
        return Pair(a.to(whole.A), b.to(whole.B), 1.0)


def factors_summed(pairs: Sequence[Pair], weights: Sequence[float]) -> Pair:
    """Return (Σ √|w_is_i| B_i)(Σ ±√|w_is_i| A_i), with the sign of w_is_i on A's side: PEFT's "linear".

    Its diagonal terms are those of the sum; beside them stand ±√|w_is_iw_js_j| B_iA_j for i ≠ j, which no adapter was
    trained for. Exact for a single adapter.

    Raises:
        ValueError: the ranks differ.
    """
    same_rank(pairs)
    roots = [math.sqrt(abs(w * pair.scale)) for pair, w in zip(pairs, weights, strict=True)]
    signs = [math.copysign(1.0, w * pair.scale) for pair, w in zip(pairs, weights, strict=True)]
    a = sum(sign * root * pair.A for pair, root, sign in zip(pairs, roots, signs, strict=True))
    return Pair(a, sum(root * pair.B for pair, root in zip(pairs, roots, strict=True)), 1.0)


def same_rank(pairs: Sequence[Pair]) -> int:
    """Return the rank that all pairs have.

    Raises:
        ValueError: the ranks differ, so that factors cannot be added.
    """
    ranks = [len(pair.A) for pair in pairs]
    if len(set(ranks)) > 1:
        raise ValueError(
            f"the adapters have the ranks {', '.join(map(str, ranks))}, and factors of different shapes cannot be "
            "added: use adapters of one rank, or add their ΔW (concatenated)"
        )
    return ranks[0]


def combined(
    adapters: Mapping[str, State], weights: Mapping[str, float], how: Combine = concatenated
) -> dict[str, Pair]:
    """Return one adapter made of several: on each layer, of those that touch it.

    Args:
        adapters: by name; `pairs_of(adapted_model)` gives one.
        weights: one for each adapter, by the same names.

    Raises:
        ValueError: no adapter, a weight missing, for an unknown adapter or not finite, or factors that do not fit
            together.
        TypeError: adapters that are not given by name, each as `pairs_of` gives it; or a `how` that is no function.
    """
    check_named(adapters)
    check_weights(adapters, weights)
    if not callable(how) or isinstance(how, type):
        raise TypeError(
            f"how is {how!r}; give a function: concatenated (PEFT's cat), Truncated(r) (svd), factors_summed (linear)"
        )
    layers = list(dict.fromkeys(layer for state in adapters.values() for layer in state))
    combined_pairs = {}
    for layer in layers:
        names = [name for name, state in adapters.items() if layer in state]
        pairs = [adapters[name][layer] for name in names]
        _refuse_other_shapes(layer, names, pairs)
        try:
            combined_pairs[layer] = how(pairs, [weights[name] for name in names])
        except ValueError as error:
            raise ValueError(f"{layer} ({', '.join(map(repr, names))}): {error}") from error
    return combined_pairs


def check_weights(adapters: Mapping[str, State], weights: Mapping[str, float]) -> None:
    """Raise ValueError unless there are adapters with layers, and exactly one finite weight for each."""
    if not adapters:
        raise ValueError("there is no adapter: give at least one by name, e.g. {'anna': pairs_of(model)}")
    for name, state in adapters.items():
        if not state:
            raise ValueError(f"adapter {name!r} has no layer: pairs_of(adapted_model) gives one that has")
    known = ", ".join(map(repr, adapters))
    if not isinstance(weights, Mapping):
        raise TypeError(f"weights is a {type(weights).__name__}; give one for each adapter, by its name: {known}")
    for name in weights.keys() - adapters.keys():
        raise ValueError(f"a weight is for the adapter {name!r}, which is not there; there are {known}")
    for name in (name for name in adapters if name not in weights):
        raise ValueError(f"adapter {name!r} has no weight: give one for each of {known} (0 leaves it out)")
    for name, weight in weights.items():
        if not math.isfinite(weight):
            raise ValueError(f"the weight of {name!r} is {weight!r}; it must be a finite number")


def _refuse_other_shapes(layer: str, names: Sequence[str], pairs: Sequence[Pair]) -> None:
    shapes = [(len(pair.B), pair.A.shape[1]) for pair in pairs]
    for name, shape, pair in zip(names, shapes, pairs, strict=True):
        if pair.B.shape[1] != len(pair.A):
            raise ValueError(
                f"{layer} of {name!r}: A has {len(pair.A)} rows and B {pair.B.shape[1]} columns, and both must be r"
            )
        if shape != shapes[0]:
            raise ValueError(
                f"{layer} is {shapes[0][0]} × {shapes[0][1]} for {names[0]!r} and {shape[0]} × {shape[1]} for "
                f"{name!r}: these adapters belong to different models"
            )
