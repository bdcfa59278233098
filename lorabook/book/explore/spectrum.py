"""Spectrum explorer: how much of an update ΔW a rank keeps, layer by layer, against a random matrix.

With singular values σ₁ ≥ σ₂ ≥ … of ΔW, the best rank-r matrix keeps the share Σ_{i≤r} σᵢ² / Σ σᵢ² of its energy and
misses ΔW by √(Σ_{i>r} σᵢ²) in the Frobenius norm (Eckart and Young 1936). The random matrix has independent Gaussian
entries, the same shape and the same norm.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from lorabook.book import style
from lorabook.book.explore.state import Steps, control
from lorabook.book.explore.wire import Explorer, Still, explorer
from lorabook.cost.spectrum import singular_values


@dataclass(frozen=True)
class State:
    """Which layer, and the rank that is kept."""

    layer: str = control("", Steps("layer", ()))
    r: int = control(8, Steps("rank r", ()))


@dataclass(frozen=True)
class Table:
    """For each layer: σ over ‖ΔW‖, and the share of energy kept by ranks 1, 2, …; the same for the random matrix."""

    layers: list[str]
    shapes: list[list[int]]
    sigma: list[np.ndarray]
    kept: list[np.ndarray]
    random_sigma: list[np.ndarray]
    random_kept: list[np.ndarray]


@dataclass(frozen=True)
class Result:
    """What the picture shows where the controls stand; `error` is ‖ΔW − ΔW_r‖ / ‖ΔW‖."""

    sigma: np.ndarray
    random_sigma: np.ndarray
    kept: float
    random_kept: float
    error: float


def spectrum(deltas: Mapping[str, Tensor], generator: torch.Generator) -> Explorer:
    """Return the explorer of the updates `deltas`, a ΔW (d_out × d_in) for each layer name.

    Raises:
        ValueError: no ΔW, one that is not a matrix, is zero or holds a number that is not finite.
    """
    table = tabulate(deltas, generator)
    limit = max(min(shape) for shape in table.shapes)
    state = State(table.layers[0], min(8, limit))
    given = {"layer": Steps("layer", tuple(table.layers)), "r": Steps("rank r", tuple(_ranks(limit)))}
    return explorer("spectrum", state, partial(compute, table=table), still, given=given, table=table)


def tabulate(deltas: Mapping[str, Tensor], generator: torch.Generator) -> Table:
    """Return the singular values of every ΔW and of its random counterpart."""
    if not deltas:
        raise ValueError("spectrum: no ΔW given; pass a dict from layer names to matrices.")
    sigma, random_sigma = [], []
    for name, delta in deltas.items():
        if delta.ndim != 2 or not torch.isfinite(delta).all() or not delta.any():
            raise ValueError(
                f"spectrum: ΔW of {name} has shape {tuple(delta.shape)}; expected a finite matrix that is not all zero "
                "(is the layer trained yet?)."
            )
        noise = torch.randn(delta.shape, generator=generator)
        sigma.append(_shares(delta.detach().cpu()))
        random_sigma.append(_shares(noise))
    return Table(
        list(deltas), [list(delta.shape) for delta in deltas.values()],
        sigma, [np.cumsum(s**2) for s in sigma], random_sigma, [np.cumsum(s**2) for s in random_sigma],
    )  # fmt: skip


def compute(state: State, table: Table) -> Result:
    """Look the state up in the table."""
    i = table.layers.index(state.layer)
    at = min(state.r, len(table.sigma[i])) - 1
    kept, random_kept = float(table.kept[i][at]), float(table.random_kept[i][at])
    return Result(table.sigma[i], table.random_sigma[i], kept, random_kept, max(0.0, 1 - kept) ** 0.5)


def still(state: State, result: Result) -> Still:
    """Say and draw the state without a browser."""
    sentence = (
        f"Rank {state.r} keeps {result.kept:.0%} of the energy of ΔW in {state.layer}; "
        f"of a random matrix of its shape and norm it would keep {result.random_kept:.0%}."
    )
    figure = style.figure()
    axes = style.axes(figure, sentence, "direction i", "σᵢ / ‖ΔW‖")
    for values, role, label in ((result.sigma, style.TRAINABLE, "ΔW"), (result.random_sigma, style.FROZEN, "random")):
        axes.plot(np.arange(1, len(values) + 1), values, color=role.light, label=label)
    axes.axvline(state.r + 0.5, color=style.NEUTRAL.text, linewidth=0.8)
    axes.set_xscale("log")
    axes.legend(frameon=False, labelcolor=style.NEUTRAL.text, fontsize=8)
    return Still(sentence, figure)


def _shares(matrix: Tensor) -> np.ndarray:
    sigma = singular_values(matrix)
    return (sigma / sigma.norm()).numpy()


def _ranks(limit: int) -> list[int]:
    """Every rank up to 32, then steps of about 8%, so that a wide layer still fits a slider."""
    ranks = list(range(1, min(limit, 32) + 1))
    while ranks[-1] < limit:
        ranks.append(min(limit, round(ranks[-1] * 1.08)))
    return ranks
