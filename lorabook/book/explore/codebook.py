"""NF4 explorer: the sixteen codes on the number line, and what one outlier does to the block that it lies in.

A block of b weights shares c = max |w|; each weight becomes the code nearest to w/c, and comes back as ŵ = c·code. One
large weight therefore moves all its neighbours towards zero, where they share a few codes. Small blocks confine the
damage and cost 32/b bits a weight for their c.
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from lorabook.axes.base.code_books import int4_codes, nf4_codes, seventeenths
from lorabook.book import style
from lorabook.book.explore.explorer import Explorer, tabled_explorer
from lorabook.book.explore.state import Choice, Slider, Steps, control

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BOOKS = ("NF4, as published", "Φ⁻¹(i/17), often said", "even steps (int4)")
BLOCKS = (16, 32, 64, 128, 256)
OUTLIER = Slider("outlier", 0, 8, 0.25, "σ")
WEIGHTS, AT = 256, 20  # how many weights are shown, and which of them is the outlier


@dataclass(frozen=True)
class State:
    """Which codes, how many weights share a scale, and the value of one weight in standard deviations of the others."""

    book: str = control(BOOKS[0], Choice("codes", BOOKS))
    block: int = control(64, Steps("block size", BLOCKS))
    outlier: float = control(0, OUTLIER)


@dataclass(frozen=True)
class Result:
    """The weights with the outlier in place, what they come back as, block by block, and what the outlier costs.

    `scaled` are the weights of the outlier's block over its `absmax`, `used` the places of the codes that they become.
    `error` is the RMS of ŵ − w over the outlier's neighbours in its block, and `worse` how many times what it is
    without an outlier; `bits` are the bits a weight with its share of the scale.
    """

    books: tuple[str, ...]
    codes: tuple[np.ndarray, ...]
    weights: np.ndarray
    restored: tuple[np.ndarray, ...]
    at: int
    scaled: np.ndarray
    used: np.ndarray
    absmax: float
    error: float
    worse: float
    bits: float
    sentence: str


def codebook(generator: torch.Generator) -> Explorer:
    """Return the explorer of the NF4 codes and blocks, on 256 random normal weights."""
    weights = torch.randn(WEIGHTS, generator=generator)
    return tabled_explorer("codebook", State(), partial(compute, weights=weights), still)


def books() -> list[Float[Tensor, " codes"]]:
    """Return the three code books: the published one, the false formula, and the even steps of absmax/7."""
    return [codes.float() for codes in (nf4_codes(), seventeenths(), int4_codes())]


def round_blocks(
    weights: Float[Tensor, " n"], values: Float[Tensor, " codes"], block: int
) -> tuple[Int64[Tensor, " n"], Float[Tensor, " n"]]:
    """Return the place of each weight's code, and its block's absmax: the definition, for any codes and any block size.

    For blocks of 64 a test holds it against `axes.base.code_books.nearest_in`, and for NF4 against `blocks.quantise`.
    """
    rows = weights.view(-1, block)
    absmax = rows.abs().amax(1, keepdim=True).expand_as(rows)
    nearest = ((rows / absmax)[..., None] - values).abs().argmin(-1)
    return nearest.reshape(-1), absmax.reshape(-1)


def compute(state: State, weights: Float[Tensor, " n"]) -> Result:
    """Put the outlier among the weights, quantise them, and compare with the same without an outlier."""
    codes = books()
    values, block = codes[BOOKS.index(state.book)], state.block
    moved = _with_outlier(weights, state.outlier)
    places, absmax = round_blocks(moved, values, block)
    restored = values[places] * absmax
    mine = slice(AT // block * block, AT // block * block + block)
    used, error = places[mine].unique(), _error(moved, values, block)
    worse = error / _error(_with_outlier(weights, 0.0), values, block)
    return Result(
        BOOKS, tuple(book.numpy() for book in codes), moved.numpy(), tuple(restored.view(-1, block).numpy()), AT,
        (moved / absmax)[mine].numpy(), used.numpy().astype(np.uint8), absmax[AT].item(), error, worse, 4 + 32 / block,
        _sentence(state, len(used), len(values), error, worse),
    )  # fmt: skip


def still(state: State, result: Result) -> "Figure":
    """Draw weights and what they come back as without a browser."""
    figure = style.figure()
    axes = style.axes(figure, result.sentence, "weight", "value (σ)")
    axes.plot(result.weights, "o", markersize=3, color=style.FROZEN.light, label="w")
    axes.plot(np.concatenate(result.restored), "s", markersize=2, color=style.TRAINABLE.light, label="ŵ")
    axes.legend(frameon=False, labelcolor=style.NEUTRAL.text, fontsize=8)
    return figure


def _with_outlier(weights: Float[Tensor, " n"], outlier: float) -> Float[Tensor, " n"]:
    moved = weights.clone()
    moved[AT] = outlier
    return moved


def _error(weights: Float[Tensor, " n"], values: Float[Tensor, " codes"], block: int) -> float:
    """Return the RMS of ŵ − w over the outlier's neighbours in its block."""
    places, absmax = round_blocks(weights, values, block)
    order = torch.arange(len(weights))
    neighbours = (order // block == AT // block) & (order != AT)
    return (values[places] * absmax - weights)[neighbours].square().mean().sqrt().item()


def _sentence(state: State, used: int, codes: int, error: float, worse: float) -> str:
    if state.outlier == 0:
        return (
            f"Without an outlier a block of {state.block} uses {used} of {codes} codes; its weights come back with an "
            f"RMS error of {error:.3f}σ."
        )
    return (
        f"One weight of {state.outlier:g}σ leaves its block of {state.block} only {used} of {codes} codes: its "
        f"neighbours come back {worse:.1f} times as wrong as without it (RMS error {error:.3f}σ)."
    )
