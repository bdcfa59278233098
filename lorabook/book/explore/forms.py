"""Form explorer: LoRA, LoHa, HiRA and LoKr with equal numbers: the singular values of their ΔW, and how much of a wish.

Each is the library's own layer on a 32 × 32 matrix, with the factors that bring it nearest to the wanted ΔW: LoRA's are
known, the others' are the best that was found (`explore/form_fits.py`).
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from lorabook.book import style
from lorabook.book.explore.explorer import Explorer, tabled_explorer
from lorabook.book.explore.form_fits import BASES, BUDGETS, FEW, FULL, NEAREST, SIDE, WISHES, Fits, measure
from lorabook.book.explore.state import Choice, Steps, control
from lorabook.cost.spectrum import singular_values

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TINY = 1e-6
"""A singular value below this share of the largest counts as none: it is what turns leave of a direction that goes."""


@dataclass(frozen=True)
class State:
    """What ΔW should become, how many numbers may train, and HiRA's W₀."""

    wanted: str = control(FEW, Choice("wanted ΔW", WISHES))
    numbers: int = control(BUDGETS[0], Steps("numbers that train", BUDGETS))
    w0: str = control(FULL, Choice("HiRA's W₀", BASES))


@dataclass(frozen=True)
class Result:
    """The wanted ΔW, and for each of `NEAREST` its ΔW, singular values, rank, trained numbers and share reached."""

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


def forms(generator: torch.Generator) -> Explorer:
    """Return the form explorer."""
    return explore_fits(measure(generator))


def explore_fits(found: Fits) -> Explorer:
    """Return the explorer of these fits."""
    return tabled_explorer("forms", State(), partial(compute, found=found), still)


def compute(state: State, found: Fits) -> Result:
    """Show what each form makes of the wish."""
    m = found.wanted[state.wanted, state.w0]
    fits = [found.fits[form, state.wanted, state.numbers, state.w0] for form in NEAREST]
    sigma, *sigmas = (singular_values(each) for each in (m, *(fit.delta for fit in fits)))
    rank, *ranks = (int((each > TINY * each[0]).sum()) for each in (sigma, *sigmas))
    reached = tuple(1 - float((m - fit.delta).square().sum()) for fit in fits)
    told = [
        f"{form} of rank {rank} reaches {share:.0%}" for form, rank, share in zip(NEAREST, ranks, reached, strict=True)
    ]
    sentence = f"{state.wanted[0].upper()}{state.wanted[1:]}, {state.numbers} numbers: {', '.join(told)}."
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
    for i, name in enumerate(("wanted ΔW", *NEAREST)):
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
