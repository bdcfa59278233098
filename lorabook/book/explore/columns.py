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

    `same` is the share of B's space that it has in common with B of their own order, ‖Q_rᵀQ'_r‖²/r.
    """

    angles: np.ndarray
    taken: float
    best: float
    chance: float
    same: float
    sentence: str


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
    triplets = {key: (w0, *linalg.svd(w0.double(), full_matrices=False)[:2]) for key, w0 in weights.items()}
    start = State(*next(iter(weights)))
    return tabled_explorer("columns", start, partial(compute, triplets=triplets), still, given=given)


def compute(state: State, triplets: Mapping[Key, tuple[Tensor, Tensor, Tensor]]) -> Result:
    """Compare the two spaces, and what they take."""
    w0, u, sigma = triplets[state.layer, state.matrix]
    r, total = state.r, sigma.square().sum()
    q, before = (_basis(w0[:, _order(w0, which)], r) for which in (state.order, AS_THEY_ARE))
    cosines = linalg.svdvals(q.T @ u[:, :r]).clamp(max=1)
    taken = ((q.T @ w0.double()).square().sum() / total).item()
    best, chance = (sigma[:r].square().sum() / total).item(), r / len(w0)
    sentence = (
        f"Rank {r} of {state.matrix} in layer {state.layer}, its columns {state.order}: OLoRA takes {taken:.0%} of "
        f"‖W₀‖², PiSSA {best:.0%}, random directions {chance:.0%}."
    )
    same = ((before.T @ q).square().sum() / r).item()
    return Result(torch.rad2deg(torch.acos(cosines)).numpy(), taken, best, chance, same, sentence)


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
