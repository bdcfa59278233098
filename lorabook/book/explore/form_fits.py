"""What LoRA, LoHa, HiRA and LoKr make of a wanted 32 × 32 ΔW with equal numbers, each at the best that was found."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lorabook.axes.form.hira import HiRA
from lorabook.axes.form.loha import LoHa
from lorabook.axes.form.lokr import LoKr, LoKrForm, factors_whole
from lorabook.book.explore.nearest import (
    set_nearest_hadamard,
    set_nearest_kronecker,
    set_nearest_low_rank,
    set_nearest_scaled,
)
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.recipe import Recipe
from lorabook.core.update import Update

SIDE, BLOCK = 32, 8
FEW, ONE_BLOCK, GATED, PRODUCT, COPIES, NOISE = WISHES = (
    "two directions", "one block", "W₀ ⊙ two directions", "a Hadamard product", "copies of a block", "no pattern",
)  # fmt: skip
FULL, THIN, HALF = BASES = "random", "of rank 4", "half zeros"
BUDGETS = tuple(4 * SIDE * r for r in (1, 2, 3, 4))
"""What LoHa trains at r = 1 to 4, and LoRA and HiRA at twice that r."""
PRODUCT_RANK = 3
FACTORS = (2, 4, 8, 16)
OVER = 4
"""LoKr has no size of exactly these numbers; so many more it may have."""

Square = Float[Tensor, "32 32"]


@dataclass(frozen=True)
class Fit:
    """A form's size in words, its ΔW, and how many numbers train."""

    size: str
    delta: Square
    numbers: int


@dataclass(frozen=True)
class Fits:
    """The wishes by (wish, W₀'s name), and each form's fit by (form, wish, numbers, W₀'s name)."""

    wanted: Mapping[tuple[str, str], Square]
    fits: Mapping[tuple[str, str, int, str], Fit]


def measure(generator: torch.Generator) -> Fits:
    """Give every form its best for every wish, budget and W₀; where a W₀ changes nothing, once."""
    w0 = bases(generator)
    wanted = wishes(w0, generator)
    fits: dict[tuple[str, str, int, str], Fit] = {}
    for form, (name, base), numbers in product(NEAREST, wanted, BUDGETS):
        depends = form == "HiRA" or name == GATED
        known = None if depends else fits.get((form, name, numbers, FULL))
        fits[form, name, numbers, base] = known or NEAREST[form](numbers, wanted[name, base], w0[base])
    return Fits(wanted, fits)


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


def _lora(numbers: int, m: Square, w0: Square) -> Fit:
    r = numbers // (2 * SIDE)
    update = layer(LoRA(r, r), w0)
    set_nearest_low_rank(update, m)
    return _fit(f"r = {r}", update, w0)


def _loha(numbers: int, m: Square, w0: Square) -> Fit:
    r = numbers // (4 * SIDE)
    update = layer(LoHa(r, r), w0)
    set_nearest_hadamard(update, m)
    return _fit(f"r = {r}", update, w0)


def _hira(numbers: int, m: Square, w0: Square) -> Fit:
    r = numbers // (2 * SIDE)
    update = layer(HiRA(r), w0)
    set_nearest_scaled(update, w0, m)
    return _fit(f"r = {r}", update, w0)


def _lokr(numbers: int, m: Square, w0: Square) -> Fit:
    """Choose the factor as well, and fewer numbers where more reach no more; there may be no LoKr of so many."""
    tried = [_kronecker(factor, r, m, w0) for factor, r in kronecker_sizes(numbers)]
    return min(tried, key=lambda fit: (round(float((m - fit.delta).square().sum()), 9), fit.numbers))


NEAREST: dict[str, Callable[[int, Square, Square], Fit]] = {"LoRA": _lora, "LoHa": _loha, "HiRA": _hira, "LoKr": _lokr}
"""Each form's best for (numbers, wish, W₀)."""


def kronecker_sizes(numbers: int) -> list[tuple[int, int]]:
    """Return for each factor the largest r that these numbers allow, if there is one."""
    found = []
    for factor in FACTORS:
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
    """Return the library's update on this W₀; s is 1 in every recipe here."""
    frozen = nn.Sequential(nn.Linear(SIDE, SIDE, bias=False, dtype=torch.float64))
    frozen[0].weight.data.copy_(w0)
    return inject(frozen, recipe, "0", torch.Generator().manual_seed(0))["0"].update


def _fit(size: str, update: Update, w0: Square) -> Fit:
    delta = (update.weight(w0) - w0).detach()
    return Fit(size, delta, sum(p.numel() for p in update.parameters()))
