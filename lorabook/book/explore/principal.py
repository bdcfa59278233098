"""What PiSSA takes out of a pretrained matrix, and what four bits make of the rest.

With W₀ = UΣVᵀ the r largest directions go into s·BA, the others stay, W_res = W₀ − U_rΣ_rV_rᵀ. ‖Q(W) − W‖ is the error
of rounding W to NF4: for W₀ that of QLoRA, for W_res that of QPiSSA (Meng, Wang, Zhang 2024, 2404.02948, section 4).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, linalg, nn

from lorabook.axes.base.nf4 import NF4
from lorabook.book import style
from lorabook.book.explore.explorer import Explorer, tabled_explorer
from lorabook.book.explore.state import Choice, Steps, control

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RANKS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
NAMED = re.compile(r"layers\.(\d+)\..*\b(\w+_proj)$")


@dataclass(frozen=True)
class State:
    """Which pretrained matrix, and the rank of BA."""

    layer: int = control(0, Choice("layer", ()))
    matrix: str = control("", Choice("matrix", ()))
    r: int = control(1, Steps("rank r", RANKS))


@dataclass(frozen=True)
class Principal:
    """One W₀: shape, σ₁ ≥ σ₂ ≥ …, and the four-bit errors of W₀ and, for each of `RANKS`, of W_res, over ‖W₀‖."""

    shape: tuple[int, int]
    sigma: np.ndarray
    own: float
    errors: np.ndarray


@dataclass(frozen=True)
class Result:
    """The chosen W₀ as in `Principal`; `taken` and `stays` are the shares of ‖W₀‖² in BA and in W_res."""

    sigma: np.ndarray
    ranks: tuple[int, ...]
    errors: np.ndarray
    own: float
    rank: int
    error: float
    taken: float
    stays: float
    sentence: str


Key = tuple[int, str]
"""Layer, matrix."""


def principal(model: nn.Module) -> Explorer:
    """Return the explorer of a model's projections.

    Raises:
        ValueError: the model has no layer of the form layers.0.….q_proj, or they differ from layer to layer.
    """
    found = {name: NAMED.search(name) for name, _ in model.named_modules()}
    weights = {(int(hit[1]), hit[2]): model.get_submodule(name).weight.detach() for name, hit in found.items() if hit}
    return explore(decompose(weights))


def explore(matrices: Mapping[Key, Principal]) -> Explorer:
    """Return the explorer of matrices that are decomposed already."""
    layers, names = (tuple(dict.fromkeys(part)) for part in zip(*matrices, strict=True))
    if missing := set(product(layers, names)) - set(matrices):
        raise ValueError(f"principal: there is no W₀ for {sorted(missing)}; all layers need the same projections")
    given = {"layer": Choice("layer", layers), "matrix": Choice("matrix", names)}
    start = State(*next(iter(matrices)))
    return tabled_explorer("principal", start, partial(compute, matrices=matrices), still, given=given)


def decompose(weights: Mapping[Key, Tensor]) -> dict[Key, Principal]:
    """Return the singular values of every W₀, and its four-bit errors."""
    if not weights:
        raise ValueError("principal: no W₀ given; the model needs projections such as layers.0.self_attn.q_proj")
    return {key: _principal(w0) for key, w0 in weights.items()}


def _principal(w0: Tensor) -> Principal:
    u, sigma, vt = linalg.svd(w0.float(), full_matrices=False)
    left = [w0 - (u[:, :r] * sigma[:r]) @ vt[:r] for r in RANKS if r < len(sigma)]
    errors = [_rounding(w) / sigma.norm().item() for w in left]
    # Nothing stays where r is the whole rank.
    errors += [0.0] * (len(RANKS) - len(errors))
    return Principal(tuple(w0.shape), sigma.numpy(), _rounding(w0) / sigma.norm().item(), np.array(errors))


def _rounding(w: Tensor) -> float:
    return torch.dist(NF4(w.contiguous()).dense(), w).item()


def compute(state: State, matrices: Mapping[Key, Principal]) -> Result:
    """Say what the rank takes, what stays, and what rounding the rest costs."""
    one = matrices[state.layer, state.matrix]
    n = len(one.sigma)
    rank, energy = min(state.r, n), np.cumsum(one.sigma.astype(float) ** 2)
    taken = float(energy[rank - 1] / energy[-1])
    stays = max(0.0, 1 - taken) if rank < n else 0.0
    error = float(one.errors[RANKS.index(state.r)])
    inside = tuple(r for r in RANKS if r <= n)
    d_out, d_in = one.shape
    sentence = (
        f"Rank {state.r} takes {taken:.0%} of ‖W₀‖² out of {state.matrix} in layer {state.layer} ({d_out} × {d_in}). "
        f"‖W_res‖ is {stays**0.5:.0%} of ‖W₀‖, and its four-bit error {error / one.own:.0%} of W₀'s."
    )
    return Result(one.sigma, inside, one.errors[: len(inside)], one.own, rank, error, taken, stays, sentence)


def still(state: State, result: Result) -> "Figure":
    """Draw both panels without a browser."""
    figure = style.figure(height=4.6)
    places = np.arange(1, len(result.sigma) + 1)
    axes = style.axes(figure, result.sentence, "", "σᵢ of W₀", (2, 1, 1))
    colours = [style.TRAINABLE.light if i <= result.rank else style.RESIDUAL.light for i in places]
    axes.bar(places, result.sigma, color=colours, width=0.8)
    below = style.axes(figure, "", "direction i; rank r", "4-bit error, % of ‖W₀‖", (2, 1, 2))
    below.axhline(100 * result.own, color=style.QUANTISED.light, linestyle="--", label="of W₀ (QLoRA)")
    below.plot(result.ranks, 100 * result.errors, "o-", color=style.RESIDUAL.light, label="of W_res (QPiSSA)")
    below.axvline(result.rank, color=style.NEUTRAL.text, linewidth=0.8)
    below.set_xlim(axes.get_xlim())
    below.set_ylim(bottom=0)
    below.legend(frameon=False, labelcolor=style.NEUTRAL.text, fontsize=8)
    return figure
