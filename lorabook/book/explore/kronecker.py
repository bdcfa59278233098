"""Kronecker explorer: ΔW = C ⊗ D as a grid of copies of D, what it reaches of a wanted ΔW, and its two small products.

The layer is the library's LoKr on a 24 × 24 matrix, with the factors that bring it nearest (`explore/nearest.py`).
"""

from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, linalg, nn

from lorabook.axes.form.lokr import Kronecker, LoKr
from lorabook.book import style
from lorabook.book.explore.explorer import Explorer, tabled_explorer
from lorabook.book.explore.nearest import set_nearest_kronecker
from lorabook.book.explore.state import Choice, Steps, control
from lorabook.core.inject import inject
from lorabook.core.lora import LowRankForm
from lorabook.cost.spectrum import nearest_of_rank

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE = 24
FEW, COPIES, NOISE = "two directions", "copies of a block", "no pattern"
FACTORS = (1, 2, 3, 4, 6, 8, 12, 24)
RANKS = (1, 2, 3, 4)


@dataclass(frozen=True)
class State:
    """The sides of C, the rank of D, and what ΔW should become."""

    factor: int = control(2, Steps("factor, sides of C", FACTORS))
    r: int = control(1, Steps("rank r of D", RANKS))
    wanted: str = control(FEW, Choice("wanted ΔW", (FEW, COPIES, NOISE)))


@dataclass(frozen=True)
class Result:
    """The factors, ΔW and the wanted one; an input on its way through, step by step; and what it all costs.

    `way` holds x, x folded, each product, and y as columns; `products` counts the multiplications that lead to each.
    `plain` is the share that LoRA of rank `plain_rank` reaches, the one whose count is the nearest.
    """

    c: np.ndarray
    d: np.ndarray
    update: np.ndarray
    wanted: np.ndarray
    way: tuple[np.ndarray, ...]
    names: tuple[str, ...]
    products: tuple[int, ...]
    whole: bool
    rank: int
    numbers: int
    reached: float
    plain_rank: int
    plain_numbers: int
    plain: float
    sentence: str


Wanted = dict[str, Float[Tensor, "24 24"]]
"""What ΔW may have to become, by name."""


def kronecker(generator: torch.Generator) -> Explorer:
    """Return the Kronecker explorer."""
    wanted = targets(generator)
    x = torch.randn(SIDE, generator=generator, dtype=torch.float64)
    return tabled_explorer("kronecker", State(), partial(compute, wanted=wanted, x=x), still)


def targets(generator: torch.Generator) -> Wanted:
    """Return what ΔW may have to become: of rank 2, a 4 × 4 grid of copies of one block, random; each of norm 1."""
    draw = partial(torch.randn, generator=generator, dtype=torch.float64)
    even = draw(4, 4).sign() * (1 + torch.rand(4, 4, generator=generator, dtype=torch.float64))
    found = {FEW: draw(SIDE, 2) @ draw(2, SIDE), COPIES: torch.kron(even, draw(6, 6)), NOISE: draw(SIDE, SIDE)}
    return {name: m / m.norm() for name, m in found.items()}


def compute(state: State, wanted: Wanted, x: Float[Tensor, "24"]) -> Result:
    """Give the library's LoKr its best factors, and send x through them."""
    m, update = wanted[state.wanted], layer(state.factor, state.r)
    set_nearest_kronecker(update, m)
    c, d = update.C.detach(), update.right().detach()
    whole = update.A is None
    names, way, products = _way(x, c, [d] if whole else [update.A.detach(), update.B.detach()])
    delta = update.weight(torch.zeros(SIDE, SIDE, dtype=torch.float64)).detach()
    numbers = sum(p.numel() for p in update.parameters())
    plain_rank = max(1, round(numbers / LowRankForm().count(SIDE, SIDE, 1)))
    reached, plain = (1 - float((m - near).square().sum()) for near in (delta, nearest_of_rank(m, plain_rank)))
    rank, plain_numbers = int(linalg.matrix_rank(delta, rtol=1e-9)), LowRankForm().count(SIDE, SIDE, plain_rank)
    sentence = (
        f"{state.wanted.capitalize()}: {numbers} numbers write a ΔW of rank {rank} and reach {reached:.0%} of it; "
        f"LoRA of rank {plain_rank}, with {plain_numbers}, reaches {plain:.0%}."
    )
    return Result(
        c.numpy(), d.numpy(), delta.numpy(), m.numpy(), tuple(h.numpy() for h in way), names, products, whole, rank,
        numbers, reached, plain_rank, plain_numbers, plain, sentence,
    )  # fmt: skip


def layer(factor: int, r: int) -> Kronecker:
    """Return the library's LoKr on a 24 × 24 matrix, with s = 1."""
    frozen = nn.Sequential(nn.Linear(SIDE, SIDE, bias=False, dtype=torch.float64))
    return inject(frozen, LoKr(r, r, factor=factor), "0", torch.Generator().manual_seed(0))["0"].update


def _way(x: Tensor, c: Tensor, right: list[Tensor]) -> tuple[tuple[str, ...], tuple[Tensor, ...], tuple[int, ...]]:
    """Return the names of x's stations, what stands there, and the multiplications that lead to each."""
    h = x.view(c.shape[1], -1)
    names, way, products = ["x", "X"], [x[:, None], h], [0, 0]
    said = ("XDᵀ",) if len(right) == 1 else ("XAᵀ", "XAᵀBᵀ")
    for name, factor in zip(said, right, strict=True):
        products.append(h.shape[0] * factor.numel())
        h = h @ factor.T
        names.append(name)
        way.append(h)
    products += [h.shape[1] * c.numel(), 0]
    return (*names, f"C{said[-1]}", "y"), (*way, c @ h, (c @ h).flatten()[:, None]), tuple(products)


def still(state: State, result: Result) -> "Figure":
    """Draw the factors, ΔW and the wanted one without a browser."""
    from matplotlib.colors import LinearSegmentedColormap

    figure = style.figure(5.2, 2.1)
    colours = LinearSegmentedColormap.from_list(
        "signs", [style.TRAINABLE.light, style.NEUTRAL.grid[:7] + "22", style.variant("rsLoRA").light]
    )
    figure.suptitle(result.sentence, color=style.NEUTRAL.text, fontsize=8, x=0.01, ha="left", wrap=True)
    shown = {"C": result.c, "D": result.d, "ΔW = C ⊗ D": result.update, "wanted ΔW": result.wanted}
    for i, (name, matrix) in enumerate(shown.items()):
        axes = style.axes(figure, "", "", "", (1, 4, i + 1))
        axes.set_title(name, color=style.NEUTRAL.text, fontsize=8)
        most = np.abs(matrix if i < 2 else result.wanted).max()
        axes.imshow(matrix, cmap=colours, vmin=-most, vmax=most, extent=(0, matrix.shape[1], matrix.shape[0], 0))
        axes.grid(False)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlim(0, SIDE)
        axes.set_ylim(SIDE, 0)
        axes.spines[:].set_visible(False)
    for i, j in product(range(state.factor), repeat=2):
        block = SIDE / state.factor
        figure.axes[2].plot(
            [j * block, (j + 1) * block, (j + 1) * block], [(i + 1) * block, (i + 1) * block, i * block],
            color=style.NEUTRAL.quiet, linewidth=0.4,
        )  # fmt: skip
    return figure
