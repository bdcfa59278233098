"""Spectrum explorer: how much of an update ΔW a rank keeps, layer by layer, against a random matrix.

With singular values σ₁ ≥ σ₂ ≥ … of ΔW, the best rank-r matrix keeps the share Σ_{i≤r} σᵢ² / Σ σᵢ² of its energy and
misses ΔW by √(Σ_{i>r} σᵢ²) in the Frobenius norm (Eckart and Young 1936). The random matrix has independent Gaussian
entries, the same shape and the same norm.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from lorabook.book import style
from lorabook.book.explore.explorer import Explorer, tabled_explorer
from lorabook.book.explore.state import Steps, control
from lorabook.cost.spectrum import singular_values

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class State:
    """Which layer, and the rank that is kept."""

    layer: str = control("", Steps("layer", ()))
    r: int = control(8, Steps("rank r", ()))


@dataclass(frozen=True)
class Spectrum:
    """One layer: the shape of ΔW, its singular values over ‖ΔW‖, and those of a random matrix of its shape."""

    shape: tuple[int, int]
    sigma: np.ndarray
    random_sigma: np.ndarray


@dataclass(frozen=True)
class Result:
    """The curves of the chosen layer, σ and the share of energy that ranks 1, 2, … keep, and what one rank misses.

    `rank` is the chosen one, or the layer's largest; `missed` is ‖ΔW − ΔW_r‖ / ‖ΔW‖.
    """

    sigma: np.ndarray
    random_sigma: np.ndarray
    energy: np.ndarray
    random_energy: np.ndarray
    rank: int
    missed: float
    sentence: str


def spectrum(deltas: Mapping[str, Tensor], generator: torch.Generator) -> Explorer:
    """Return the explorer of the updates `deltas`, a ΔW (d_out × d_in) for each layer name.

    Raises:
        ValueError: no ΔW, one that is not a matrix, is zero or holds a number that is not finite.
    """
    spectra = decompose(deltas, generator)
    first, limit = next(iter(spectra)), max(len(layer.sigma) for layer in spectra.values())
    given = {"layer": Steps("layer", tuple(spectra)), "r": Steps("rank r", tuple(_ranks(limit)))}
    compute_layer = partial(compute, spectra=spectra)
    return tabled_explorer("spectrum", State(first, min(8, limit)), compute_layer, still, given=given)


def decompose(deltas: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Spectrum]:
    """Return the singular values of every ΔW and of its random counterpart."""
    if not deltas:
        raise ValueError("spectrum: no ΔW given; pass a dict from layer names to matrices.")
    spectra = {}
    for name, delta in deltas.items():
        if delta.ndim != 2 or not torch.isfinite(delta).all() or not delta.any():
            raise ValueError(
                f"spectrum: ΔW of {name} has shape {tuple(delta.shape)}; expected a finite matrix that is not all zero "
                "(is the layer trained yet?)."
            )
        noise = torch.randn(delta.shape, generator=generator)
        spectra[name] = Spectrum(tuple(delta.shape), _shares(delta.detach().cpu()), _shares(noise))
    return spectra


def compute(state: State, spectra: Mapping[str, Spectrum]) -> Result:
    """Add up the energy of the chosen layer."""
    layer = spectra[state.layer]
    energy, random_energy = np.cumsum(layer.sigma**2), np.cumsum(layer.random_sigma**2)
    rank = min(state.r, len(energy))
    share, random_share = float(energy[rank - 1]), float(random_energy[rank - 1])
    d_out, d_in = layer.shape
    sentence = (
        f"Rank {state.r} keeps {share:.0%} of the energy of ΔW in {state.layer} ({d_out} × {d_in}); "
        f"of a random matrix of its shape and norm it would keep {random_share:.0%}."
    )
    missed = max(0.0, 1 - share) ** 0.5
    return Result(layer.sigma, layer.random_sigma, energy, random_energy, rank, missed, sentence)


def still(state: State, result: Result) -> "Figure":
    """Draw the spectra without a browser."""
    figure = style.figure()
    axes = style.axes(figure, result.sentence, "direction i", "σᵢ / ‖ΔW‖")
    for values, role, label in ((result.sigma, style.TRAINABLE, "ΔW"), (result.random_sigma, style.FROZEN, "random")):
        axes.plot(np.arange(1, len(values) + 1), values, color=role.light, label=label)
    axes.axvline(state.r + 0.5, color=style.NEUTRAL.text, linewidth=0.8)
    axes.set_xscale("log")
    axes.legend(frameon=False, labelcolor=style.NEUTRAL.text, fontsize=8)
    return figure


def _shares(matrix: Tensor) -> np.ndarray:
    sigma = singular_values(matrix)
    return (sigma / sigma.norm()).numpy()


def _ranks(limit: int) -> list[int]:
    """Every rank up to 32, then steps of about 8%, so that a wide layer still fits a slider."""
    ranks = list(range(1, min(limit, 32) + 1))
    while ranks[-1] < limit:
        ranks.append(min(limit, round(ranks[-1] * 1.08)))
    return ranks
