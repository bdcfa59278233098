"""Form explorer: LoRA, LoHa, HiRA and LoKr with equal numbers: the singular values of their ΔW, and how much of a wish.

Each is the library's own layer on a 32 × 32 matrix, with the factors that bring it nearest to the wanted ΔW: LoRA's are
known, the others' are the best that was found (`explore/nearest.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from lorabook.axes.form.hira import HiRA
from lorabook.axes.form.loha import LoHa
from lorabook.axes.form.lokr import LoKr, LoKrForm, factors_whole
from lorabook.book import style
from lorabook.book.explore.explorer import Explorer, tabled_explorer
from lorabook.book.explore.nearest import (
    set_nearest_hadamard, set_nearest_kronecker, set_nearest_low_rank, set_nearest_scaled,
)  # fmt: skip
from lorabook.book.explore.state import Choice, Steps, control
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.recipe import Recipe
from lorabook.core.update import Update
from lorabook.cost.spectrum import singular_values

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE, BLOCK = 32, 8
FORMS = ("LoRA", "LoHa", "HiRA", "LoKr")
FEW, ONE_BLOCK, GATED, PRODUCT, COPIES, NOISE = WISHES = (
    "two directions", "one block", "W₀ ⊙ two directions", "a Hadamard product", "copies of a block", "no pattern",
)  # fmt: skip
FULL, THIN, HALF = BASES = "random", "of rank 4", "half zeros"
BUDGETS = tuple(128 * r for r in (1, 2, 3, 4))
"""What LoHa trains at r = 1 to 4, and LoRA and HiRA at twice that r."""
PRODUCT_RANK = 3
OVER = 4
"""LoKr has no size of exactly these numbers; so many more it may have."""
TINY = 1e-6
"""A singular value below this share of the largest counts as none: what turns leave of a direction that goes."""


@dataclass(frozen=True)
class State:
    """What ΔW should become, how many numbers may train, and HiRA's W₀."""

    wanted: str = control(FEW, Choice("wanted ΔW", WISHES))
    numbers: int = control(BUDGETS[0], Steps("numbers that train", BUDGETS))
    w0: str = control(FULL, Choice("W₀", BASES))


@dataclass(frozen=True)
class Result:
    """The wanted ΔW, and for each of `FORMS` its ΔW, singular values, rank, trained numbers and share reached."""

    wanted: np.ndarray
    sigma: np.ndarray
    rank: int
    updates: tuple[np.ndarray, ...]
    sigmas: tuple[np.ndarray, ...]
    sizes: tuple[str, ...]
    ranks: tuple[int, ...]
    numbers: tuple[int, ...]
    reached: tuple[float, ...]
    sentence: str


Square = Float[Tensor, "32 32"]


@dataclass(frozen=True)
class Fit:
    """A form's size in words, its ΔW, and how many numbers train."""

    size: str
    delta: Square
    numbers: int


@dataclass(frozen=True)
class Fits:
    """The W₀s and the wishes by (name, W₀'s name), and each form's fit by (form, wish, numbers, W₀'s name)."""

    wanted: Mapping[tuple[str, str], Square]
    fits: Mapping[tuple[str, str, int, str], Fit]


def forms(generator: torch.Generator) -> Explorer:
    """Return the form explorer."""
    return explore_fits(measure(generator))


def explore_fits(found: Fits) -> Explorer:
    """Return the explorer of these fits."""
    return tabled_explorer("forms", State(), partial(compute, found=found), still)


def bases(generator: torch.Generator) -> dict[str, Square]:
    """Return a random W₀, one of rank 4, and one half of whose entries are zero."""
    draw = partial(torch.randn, generator=generator, dtype=torch.float64)
    full = draw(SIDE, SIDE)
    return {FULL: full, THIN: draw(SIDE, 4) @ draw(4, SIDE), HALF: full * (draw(SIDE, SIDE) > 0)}


def wishes(w0: Mapping[str, Square], generator: torch.Generator) -> dict[tuple[str, str], Square]:
    """Return what may be wanted on each W₀, each of norm 1; only one wish depends on W₀."""
    draw = partial(torch.randn, generator=generator, dtype=torch.float64)

    def thin(r: int) -> Square:
        return draw(SIDE, r) @ draw(r, SIDE)

    block = torch.zeros(SIDE, SIDE, dtype=torch.float64)
    block[BLOCK : 2 * BLOCK, 2 * BLOCK : 3 * BLOCK] = draw(BLOCK, BLOCK)
    same = {
        FEW: thin(2), ONE_BLOCK: block, PRODUCT: thin(PRODUCT_RANK) * thin(PRODUCT_RANK),
        COPIES: torch.kron(draw(2, 2), draw(SIDE // 2, SIDE // 2)), NOISE: draw(SIDE, SIDE),
    }  # fmt: skip
    gate = thin(2)
    found = {(name, base): m for base in w0 for name, m in {**same, GATED: w0[base] * gate}.items()}
    return {key: m / m.norm() for key, m in found.items()}


def measure(generator: torch.Generator) -> Fits:
    """Give every form its best for every wish, budget and W₀; where a W₀ changes nothing, once."""
    w0 = bases(generator)
    wanted = wishes(w0, generator)
    fits: dict[tuple[str, str, int, str], Fit] = {}
    for form, (name, base), numbers in product(FORMS, wanted, BUDGETS):
        first = (form, name, numbers, FULL)
        depends = form == "HiRA" or name == GATED
        known = None if depends else fits.get(first)
        fits[form, name, numbers, base] = known or fitted(form, numbers, wanted[name, base], w0[base])
    return Fits(wanted, fits)


def fitted(form: str, numbers: int, m: Square, w0: Square) -> Fit:
    """Return a form's best for one wish; LoKr chooses its factor as well, and takes fewer numbers if it has no more."""
    r = numbers // (2 * SIDE)
    if form == "LoRA":
        update = layer(LoRA(r, r), w0)
        set_nearest_low_rank(update, m)
        return _fit(f"r = {r}", update, w0)
    if form == "LoHa":
        update = layer(LoHa(r // 2, r // 2), w0)
        set_nearest_hadamard(update, m)
        return _fit(f"r = {r // 2}", update, w0)
    if form == "HiRA":
        update = layer(HiRA(r), w0)
        set_nearest_scaled(update, w0, m)
        return _fit(f"r = {r}", update, w0)
    tried = [_kronecker(factor, r, m, w0) for factor, r in kronecker_sizes(numbers)]
    return min(tried, key=lambda fit: float((m - fit.delta).square().sum()))


def kronecker_sizes(numbers: int) -> list[tuple[int, int]]:
    """Return for each factor between the sides 1 and 32 the largest r that these numbers allow."""
    found = []
    for factor in (2, 4, 8, 16):
        side = SIDE // factor
        # From here on D is whole, and more r adds nothing.
        most = next(r for r in range(1, SIDE + 1) if factors_whole(side, side, r))
        fits = [r for r in range(1, most + 1) if LoKrForm(factor).count(SIDE, SIDE, r) <= numbers + OVER]
        found += [(factor, max(fits))] if fits else []
    return found


def _kronecker(factor: int, r: int, m: Square, w0: Square) -> Fit:
    update = layer(LoKr(r, r, factor=factor), w0)
    set_nearest_kronecker(update, m)
    size = "whole" if update.A is None else f"r = {r}"
    return _fit(f"factor {factor}, {size}", update, w0)


def layer(recipe: Recipe, w0: Square) -> Update:
    """Return the library's update on this W₀, with s = 1 in every recipe here."""
    frozen = nn.Sequential(nn.Linear(SIDE, SIDE, bias=False, dtype=torch.float64))
    frozen[0].weight.data.copy_(w0)
    return inject(frozen, recipe, "0", torch.Generator().manual_seed(0))["0"].update


def _fit(size: str, update: Update, w0: Square) -> Fit:
    delta = (update.weight(w0) - w0).detach()
    return Fit(size, delta, sum(p.numel() for p in update.parameters()))


def compute(state: State, found: Fits) -> Result:
    """Show what each form makes of the wish."""
    m = found.wanted[state.wanted, state.w0]
    fits = [found.fits[form, state.wanted, state.numbers, state.w0] for form in FORMS]
    sigma, *sigmas = (singular_values(each) for each in (m, *(fit.delta for fit in fits)))
    rank, *ranks = (int((each > TINY * each[0]).sum()) for each in (sigma, *sigmas))
    reached = tuple(1 - float((m - fit.delta).square().sum()) for fit in fits)
    told = [
        f"{form} of rank {rank} reaches {share:.0%}" for form, rank, share in zip(FORMS, ranks, reached, strict=True)
    ]
    sentence = f"{state.wanted.capitalize()}, {state.numbers} numbers: {', '.join(told)}."
    return Result(
        m.numpy(), sigma.numpy(), rank, tuple(fit.delta.numpy() for fit in fits),
        tuple(each.numpy() for each in sigmas), tuple(fit.size for fit in fits), tuple(ranks),
        tuple(fit.numbers for fit in fits), reached, sentence,
    )  # fmt: skip


def still(state: State, result: Result) -> "Figure":
    """Draw the wish, what each form makes of it, and the singular values, without a browser."""
    from matplotlib.colors import LinearSegmentedColormap

    figure = style.figure(5.2, 2.6)
    colours = LinearSegmentedColormap.from_list(
        "signs", [style.TRAINABLE.light, style.NEUTRAL.grid[:7] + "22", style.variant("rsLoRA").light]
    )
    figure.suptitle(result.sentence, color=style.NEUTRAL.text, fontsize=8, x=0.01, ha="left", wrap=True)
    most, places = np.abs(result.wanted).max() * 0.7, range(1, SIDE + 1)
    for i, name in enumerate(("wanted ΔW", *FORMS)):
        delta, sigma = (result.wanted, result.sigma) if i == 0 else (result.updates[i - 1], result.sigmas[i - 1])
        above = style.axes(figure, "", "", "", (2, 5, i + 1))
        above.set_title(name, color=style.NEUTRAL.text, fontsize=8)
        above.imshow(delta, cmap=colours, vmin=-most, vmax=most)
        below = style.axes(figure, "", f"reaches {result.reached[i - 1]:.0%}" if i else "", "", (2, 5, i + 6))
        below.bar(places, sigma, color=style.TRAINABLE.light if i else style.NEUTRAL.quiet)
        below.plot(places, result.sigma, color=style.NEUTRAL.text, linestyle=":", linewidth=1)
        below.set_ylim(0, 1.05 * result.sigma[0])
        for axes in (above, below):
            axes.grid(False)
            axes.set_xticks([])
            axes.set_yticks([])
    return figure
