"""NF4 explorer: the sixteen codes on the number line, and what one outlier does to the block that it lies in.

A block of b weights shares c = max |w|; each weight becomes the code nearest to w/c, and comes back as ŵ = c·code. One
large weight therefore moves all its neighbours towards zero, where they share a few codes. Small blocks confine the
damage and cost 32/b bits a weight for their c.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from lorabook.axes.base.code_books import int4_codes, nf4_codes, seventeenths
from lorabook.book import style
from lorabook.book.explore.state import Choice, Slider, Steps, control
from lorabook.book.explore.wire import Explorer, Still, explorer

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
class Table:
    """The weights; the codes of each book; and for each (book, block size, outlier) what quantising gives.

    `absmax` holds a scale for each weight (its block's). `error` is the RMS of ŵ − w over the outlier's neighbours in
    its block; `used` counts the codes that block uses.
    """

    books: list[str]
    blocks: list[int]
    outliers: list[float]
    at: int
    weights: np.ndarray
    values: list[np.ndarray]
    codes: np.ndarray
    absmax: np.ndarray
    used: np.ndarray
    error: np.ndarray


@dataclass(frozen=True)
class Result:
    """The weights with the outlier in place, what they come back as, and what it cost."""

    weights: np.ndarray
    restored: np.ndarray
    absmax: float
    used: int
    error: float
    worse: float
    bits: float


def codebook(generator: torch.Generator) -> Explorer:
    """Return the explorer of the NF4 codes and blocks, on 256 random normal weights."""
    table = tabulate(torch.randn(WEIGHTS, generator=generator))
    return explorer("codebook", State(), partial(compute, table=table), still, table=table)


def books() -> list[Float[Tensor, " codes"]]:
    """Return the three code books: the published one, the false formula, and the even steps of absmax/7."""
    return [codes.float() for codes in (nf4_codes(), seventeenths(), int4_codes())]


def round_blocks(
    weights: Float[Tensor, " n"], values: Float[Tensor, " codes"], block: int
) -> tuple[Int64[Tensor, " n"], Float[Tensor, " n"]]:
    """Return the place of each weight's code, and its block's absmax: the definition, for any codes and any block size.

    For blocks of 64 a test holds it against `base.code_books.nearest_in`, and for NF4 against `base.blocks.quantise`.
    """
    rows = weights.view(-1, block)
    absmax = rows.abs().amax(1, keepdim=True).expand_as(rows)
    nearest = ((rows / absmax)[..., None] - values).abs().argmin(-1)
    return nearest.reshape(-1), absmax.reshape(-1)


def tabulate(weights: Float[Tensor, " n"]) -> Table:
    """Quantise the weights with every book, every block size and every value of the outlier."""
    outliers, values = OUTLIER.points(), books()
    shape = (len(values), len(BLOCKS), len(outliers))
    codes = np.zeros((*shape, len(weights)), np.uint8)
    absmax = np.zeros((len(BLOCKS), len(outliers), len(weights)), np.float32)
    used, error = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for j, block in enumerate(BLOCKS):
        mine = torch.arange(len(weights)) // block == AT // block
        neighbours = mine & (torch.arange(len(weights)) != AT)
        for k, outlier in enumerate(outliers):
            moved = weights.clone()
            moved[AT] = outlier
            for i, book in enumerate(values):
                found, scale = round_blocks(moved, book, block)
                codes[i, j, k], absmax[j, k] = found.numpy(), scale.numpy()
                used[i, j, k] = found[mine].unique().numel()
                error[i, j, k] = (book[found] * scale - moved)[neighbours].square().mean().sqrt()
    numbers = [book.numpy() for book in values]
    return Table(
        list(BOOKS), list(BLOCKS), outliers, AT, weights.numpy(), numbers, codes, absmax, used, error
    )  # fmt: skip


def compute(state: State, table: Table) -> Result:
    """Look the state up in the table."""
    i, j, k = BOOKS.index(state.book), BLOCKS.index(state.block), table.outliers.index(state.outlier)
    weights = table.weights.copy()
    weights[AT] = state.outlier
    absmax = table.absmax[j, k]
    error = float(table.error[i, j, k])
    return Result(
        weights, table.values[i][table.codes[i, j, k]] * absmax, float(absmax[AT]), int(table.used[i, j, k]),
        error, error / float(table.error[i, j, 0]), 4 + 32 / state.block,
    )  # fmt: skip


def still(state: State, result: Result) -> Still:
    """Say and draw the state without a browser."""
    sentence = (
        f"{state.book}, blocks of {state.block}: a weight of {state.outlier:g}σ leaves its block {result.used} codes; "
        f"its neighbours come back with an RMS error of {result.error:.3f}σ, {result.worse:.1f} times that without it."
    )
    figure = style.figure()
    axes = style.axes(figure, sentence, "weight", "value (σ)")
    axes.plot(result.weights, "o", markersize=3, color=style.FROZEN.light, label="w")
    axes.plot(result.restored, "s", markersize=2, color=style.TRAINABLE.light, label="ŵ")
    axes.legend(frameon=False, labelcolor=style.NEUTRAL.text, fontsize=8)
    return Still(sentence, figure)
