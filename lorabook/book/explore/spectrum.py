"""Spectrum explorer: how much of an update ΔW a rank keeps, by job, layer and matrix, against a random matrix.

With singular values σ₁ ≥ σ₂ ≥ … of ΔW, the best rank-r matrix keeps the share Σ_{i≤r} σᵢ² / Σ σᵢ² of its energy and
misses ΔW by √(Σ_{i>r} σᵢ²) in the Frobenius norm (Eckart and Young 1936). The random matrix has independent Gaussian
entries, the same shape and the same norm.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from lorabook.book import style
from lorabook.book.explore.explorer import Explorer, tabled_explorer
from lorabook.book.explore.state import Choice, Steps, control
from lorabook.cost.spectrum import singular_values

if TYPE_CHECKING:
    from matplotlib.figure import Figure


KEY = ("job", "layer", "matrix")
"""What names a ΔW."""


@dataclass(frozen=True)
class State:
    """Which job changed which matrix of which layer, and the rank that is kept."""

    job: str = control("", Choice("job", ()))
    layer: int = control(0, Choice("layer", ()))
    matrix: str = control("", Choice("matrix", ()))
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


Key = tuple[str, int, str]
"""Job, layer, matrix."""


def spectrum(deltas: Mapping[Key, Tensor], generator: torch.Generator) -> Explorer:
    """Return the explorer of the updates `deltas`, a ΔW (d_out × d_in) for every job, layer and matrix.

    Raises:
        ValueError: no ΔW, one is missing of a job, layer and matrix that others have, or one is not a matrix, is zero
            or holds a number that is not finite.
    """
    spectra = decompose(deltas, generator)
    limit = max(len(one.sigma) for one in spectra.values())
    options = {name: tuple(dict.fromkeys(values)) for name, values in zip(KEY, zip(*spectra, strict=True), strict=True)}
    if missing := set(product(*options.values())) - set(spectra):
        raise ValueError(f"spectrum: there is no ΔW for {sorted(missing)}; all jobs need the same layers.")
    given = {name: Choice(name, values) for name, values in options.items()}
    start = State(*next(iter(spectra)), min(8, limit))
    given["r"] = Steps("rank r", tuple(_ranks(limit)))
    return tabled_explorer("spectrum", start, partial(compute, spectra=spectra), still, given=given)


def decompose(deltas: Mapping[Key, Tensor], generator: torch.Generator) -> dict[Key, Spectrum]:
    """Return the singular values of every ΔW and of its random counterpart."""
    if not deltas:
        raise ValueError("spectrum: no ΔW given; pass a dict from (job, layer, matrix) to matrices.")
    spectra = {}
    for key, delta in deltas.items():
        if delta.ndim != 2 or not torch.isfinite(delta).all() or not delta.any():
            raise ValueError(
                f"spectrum: ΔW of {key} has shape {tuple(delta.shape)}; expected a finite matrix that is not all zero "
                "(is the layer trained yet?)."
            )
        noise = torch.randn(delta.shape, generator=generator)
        spectra[key] = Spectrum(tuple(delta.shape), _shares(delta.detach().cpu()), _shares(noise))
    return spectra


def compute(state: State, spectra: Mapping[Key, Spectrum]) -> Result:
    """Add up the energy of the chosen ΔW."""
    layer = spectra[state.job, state.layer, state.matrix]
    energy, random_energy = np.cumsum(layer.sigma**2), np.cumsum(layer.random_sigma**2)
    rank = min(state.r, len(energy))
    share, random_share = float(energy[rank - 1]), float(random_energy[rank - 1])
    d_out, d_in = layer.shape
    sentence = (
        f"{state.job}: rank {state.r} keeps {share:.0%} of the energy of ΔW in {state.matrix} of layer {state.layer} "
        f"({d_out} × {d_in}); of a random matrix of its shape and norm it would keep {random_share:.0%}."
    )
    missed = max(0.0, 1 - share) ** 0.5
    return Result(layer.sigma, layer.random_sigma, energy, random_energy, rank, missed, sentence)


def still(state: State, result: Result) -> "Figure":
    """Draw the spectra without a browser."""
    figure = style.figure()
    axes = style.axes(figure, result.sentence, "direction i", "σᵢ / ‖ΔW‖")
    lines = ((result.sigma, style.TRAINABLE, "-", "ΔW"), (result.random_sigma, style.FROZEN, "-.", "random"))
    for values, role, dash, label in lines:
        axes.plot(np.arange(1, len(values) + 1), values, dash, color=role.light, label=label)
    axes.axvline(state.r, color=style.NEUTRAL.text, linewidth=0.8)
    axes.set_xscale("log", base=2)
    marks = [2**i for i in range(len(result.sigma).bit_length())]
    axes.set_xticks(marks, [str(mark) for mark in marks])
    axes.minorticks_off()
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
