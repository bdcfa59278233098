"""OLoRA's space against PiSSA's: the r columns that QR makes of W₀, and the r strongest singular directions.

The principal angles between the two spaces are arccos of the singular values of Q_rᵀU_r. Of ‖W₀‖² OLoRA takes
‖Q_rᵀW₀‖², PiSSA Σ_{i≤r} σᵢ², r random directions r/d_out on average. Another order of W₀'s columns is the same layer
with its inputs in that order.
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

from lorabook.axes.init.olora import OrthonormalStart
from lorabook.book import style
from lorabook.book.explore.explorer import Explorer, tabled_explorer
from lorabook.book.explore.state import Choice, Steps, control
from lorabook.core.recipe import LayerSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RANKS = (1, 2, 4, 8, 16, 32)
AS_THEY_ARE, REVERSED, SHUFFLED, LONGEST = ORDERS = ("as they are", "reversed", "shuffled", "longest first")
NAMED = re.compile(r"layers\.(\d+)\..*\b(\w+_proj)$")


@dataclass(frozen=True)
class State:
    """Which pretrained matrix, the order of its columns, and the rank."""

    layer: int = control(0, Choice("layer", ()))
    matrix: str = control("", Choice("matrix", ()))
    order: str = control(AS_THEY_ARE, Choice("W₀'s columns", ORDERS))
    r: int = control(8, Steps("rank r", RANKS))


@dataclass(frozen=True)
class Result:
    """Angles in degrees, smallest first; the shares of ‖W₀‖² that OLoRA, PiSSA and random directions take.

    `same` and `same_best` are the shares of B's space that OLoRA and PiSSA have in common with B of the columns as they
    are, ‖Q_rᵀQ'_r‖²/r.
    """

    angles: np.ndarray
    taken: float
    best: float
    chance: float
    same: float
    same_best: float
    sentence: str


@dataclass(frozen=True)
class Pretrained:
    """A W₀, its singular values, and U of W₀ with its columns in each of `ORDERS`."""

    w0: Tensor
    sigma: Tensor
    u: Mapping[str, Tensor]


Key = tuple[int, str]
"""Layer, matrix."""


def columns(model: nn.Module) -> Explorer:
    """Return the explorer of a model's projections.

    Raises:
        ValueError: the model has no layer of the form layers.0.….q_proj, or they differ from layer to layer.
    """
    hits = {name: NAMED.search(name) for name, _ in model.named_modules()}
    return explore({(int(hit[1]), hit[2]): model.get_submodule(n).weight.detach() for n, hit in hits.items() if hit})


def explore(weights: Mapping[Key, Tensor]) -> Explorer:
    """Return the explorer of these W₀."""
    if not weights:
        raise ValueError("columns: no W₀ given; the model needs projections such as layers.0.self_attn.q_proj")
    layers, names = (tuple(dict.fromkeys(part)) for part in zip(*weights, strict=True))
    if missing := set(product(layers, names)) - set(weights):
        raise ValueError(f"columns: there is no W₀ for {sorted(missing)}; all layers need the same projections")
    given = {"layer": Choice("layer", layers), "matrix": Choice("matrix", names)}
    start, known = State(*next(iter(weights))), {key: decompose(w0) for key, w0 in weights.items()}
    return tabled_explorer("columns", start, partial(compute, known=known), still, given=given)


def decompose(w0: Tensor) -> Pretrained:
    """Return what PiSSA makes of a W₀, in every order of its columns."""
    w = w0.double()
    found = {order: linalg.svd(w[:, _order(w, order)], full_matrices=False) for order in ORDERS}
    return Pretrained(w, found[AS_THEY_ARE].S, {order: each.U for order, each in found.items()})


def compute(state: State, known: Mapping[Key, Pretrained]) -> Result:
    """Compare the two spaces, and what they take."""
    one = known[state.layer, state.matrix]
    r, w0, total = state.r, one.w0, one.sigma.square().sum()
    q, before = (_basis(w0[:, _order(w0, which)], r) for which in (state.order, AS_THEY_ARE))
    u, u_before = (one.u[which][:, :r] for which in (state.order, AS_THEY_ARE))
    taken = ((q.T @ w0).square().sum() / total).item()
    best, chance = (one.sigma[:r].square().sum() / total).item(), r / len(w0)
    sentence = (
        f"Rank {r} of {state.matrix} in layer {state.layer}, its columns {state.order}: OLoRA takes {taken:.1%} of "
        f"‖W₀‖², PiSSA {best:.1%}, random directions {chance:.1%}."
    )
    angles = torch.rad2deg(torch.acos(linalg.svdvals(q.T @ u).clamp(max=1))).numpy()
    return Result(angles, taken, best, chance, _shared(before, q), _shared(u_before, u), sentence)


def _shared(one: Tensor, other: Tensor) -> float:
    return ((one.T @ other).square().sum() / one.shape[1]).item()


def _basis(w0: Tensor, r: int) -> Tensor:
    """Return OLoRA's own B."""
    return OrthonormalStart().build(w0.double(), LayerSpec("layer", r, 1.0, 0.0, torch.Generator())).B


def _order(w0: Tensor, which: str) -> Tensor:
    d_in = w0.shape[1]
    orders = {
        AS_THEY_ARE: lambda: torch.arange(d_in),
        REVERSED: lambda: torch.arange(d_in).flip(0),
        SHUFFLED: lambda: torch.randperm(d_in, generator=torch.Generator().manual_seed(0)),
        LONGEST: lambda: w0.norm(dim=0).argsort(descending=True, stable=True),
    }
    return orders[which]()


def still(state: State, result: Result) -> "Figure":
    """Draw both panels without a browser."""
    figure = style.figure(height=4.2)
    axes = style.axes(figure, result.sentence, "k", "k-th angle (degrees)", (2, 1, 1))
    axes.bar(np.arange(1, state.r + 1), result.angles, color=style.variant("OLoRA").light, width=0.7)
    axes.set_ylim(0, 90)
    below = style.axes(figure, "", "taken, % of ‖W₀‖²", "", (2, 1, 2))
    bars = {"random": result.chance, "OLoRA": result.taken, "PiSSA": result.best}
    colours = [style.FROZEN.light, style.variant("OLoRA").light, style.variant("PiSSA").light]
    below.barh(list(bars), [100 * share for share in bars.values()], color=colours, height=0.6)
    below.set_xlim(0, 100)
    return figure
