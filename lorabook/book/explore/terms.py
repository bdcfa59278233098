"""Terms explorer: GLoRA's five switches on one layer, the (W, b) that they merge to, and how near it comes to a wish.

How near is the share of the wanted change of W and b, in squares: of inputs with mean 0 and covariance I, the share of
the change in the outputs. The numbers in the terms are the best that was found (`explore/term_fits.py`).
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, linalg

from lorabook.axes.form.glora import GLoRAForm
from lorabook.book import style
from lorabook.book.explore.explorer import Explorer, tabled_explorer
from lorabook.book.explore.state import Choice, Steps, control, folded
from lorabook.book.explore.term_fits import D_IN, D_OUT, HALF, KINDS, WISHES, Fit, Fits, R, measure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PLAIN = GLoRAForm("none", "lora", "none", "none", "none")
"""LoRA."""


@dataclass(frozen=True)
class State:
    """What the layer should become, and the kind of each term."""

    wanted: str = control(HALF, Choice("the task wants", WISHES))
    A: str = control("none", Steps("A, weighs W₀", KINDS["A"]))
    B: str = control("lora", Steps("B, added to W₀", KINDS["B"]))
    E: str = control("none", Steps("E, added to b₀", KINDS["E"]))
    C: str = folded("none", Steps("C, W₀C is added to b₀", KINDS["C"]))
    D: str = folded("none", Steps("D, weighs b₀", KINDS["D"]))


@dataclass(frozen=True)
class Result:
    """W₀, W₀ ⊙ A, B, the merged W, the wanted one; b₀, W₀C, D ⊙ b₀, E, the merged b, the wanted one, as columns.

    counts: trained numbers of A, B, C, D, E. reached, plain: the share of the wish, here and by LoRA.
    """

    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]
    counts: tuple[int, ...]
    numbers: int
    rank: int
    reached: float
    plain_numbers: int
    plain: float
    sentence: str


def terms(generator: torch.Generator) -> Explorer:
    """Return the terms explorer."""
    return explore_terms(measure(generator))


def explore_terms(found: Fits) -> Explorer:
    """Return the explorer of these fits."""
    return tabled_explorer("terms", State(), partial(compute, found=found), still)


def compute(state: State, found: Fits) -> Result:
    """Add up the terms in use, and compare with the wish."""
    form = GLoRAForm(state.A, state.B, state.C, state.D, state.E)
    weight, bias = _fits(state.wanted, form, found)
    base, (m, v) = found.base, found.wanted[state.wanted]
    reached, plain = (share(state.wanted, each, found) for each in (form, PLAIN))
    numbers, plain_numbers = (each.count(D_OUT, D_IN, R) for each in (form, PLAIN))
    counts = tuple(_alone(term, getattr(form, term)).count(D_OUT, D_IN, R) for term in "ABCDE")
    rank = int(linalg.matrix_rank(weight.merged - base.matrix, atol=1e-4))
    used = ", ".join(f"{term} {getattr(form, term)}" for term in "ABCDE" if getattr(form, term) != "none") or "no term"
    sentence = (
        f"The task wants {state.wanted}. {used[0].upper()}{used[1:]}: {_numbers(numbers)}, {reached:.0%} of it; "
        f"W − W₀ has rank {rank}. LoRA of rank {R} reaches {plain:.0%} with {plain_numbers}."
    )
    weights = (base.matrix, weight.parts["A"], weight.parts["B"], weight.merged, base.matrix + m)
    biases = (base.bias, *(bias.parts[term] for term in "CDE"), bias.merged, base.bias + v)
    return Result(
        tuple(map(_sent, weights)), tuple(_sent(each[:, None]) for each in biases), counts, numbers, rank, reached,
        plain_numbers, plain, sentence,
    )  # fmt: skip


def _fits(wish: str, form: GLoRAForm, found: Fits) -> tuple[Fit, Fit]:
    return found.weights[wish, form.A, form.B], found.biases[wish, form.C, form.D, form.E]


def share(wish: str, form: GLoRAForm, found: Fits) -> float:
    """Return the share of a wish that these kinds reach."""
    left = sum(fit.left for fit in _fits(wish, form, found))
    return round(1 - left / sum(float(part.square().sum()) for part in found.wanted[wish]), 4)


def _alone(term: str, kind: str) -> GLoRAForm:
    return GLoRAForm(**(dict.fromkeys("ABCDE", "none") | {term: kind}))


def _numbers(n: int) -> str:
    return "1 number" if n == 1 else f"{n} numbers"


def _sent(values: Tensor) -> np.ndarray:
    """Return an array without what the least squares leave of a zero."""
    return np.where(np.abs(values.numpy()) < 1e-4, 0, values.numpy()).astype(np.float32)


def still(state: State, result: Result) -> "Figure":
    """Draw the layer, its terms and the wish without a browser."""
    from matplotlib.colors import LinearSegmentedColormap

    figure = style.figure(5.2, 2.5)
    colours = LinearSegmentedColormap.from_list(
        "signs", [style.TRAINABLE.light, style.NEUTRAL.grid[:7] + "22", style.variant("rsLoRA").light]
    )
    figure.suptitle(result.sentence, color=style.NEUTRAL.text, fontsize=8, x=0.01, ha="left", wrap=True)
    names = ("W₀", "W₀ ⊙ A", "B", "W", "wanted W"), ("b₀", "W₀C", "D ⊙ b₀", "E", "b", "wanted b")
    for row, matrices in enumerate((result.weights, result.biases)):
        most = max(np.abs(matrix).max() for matrix in (matrices[0], matrices[-1]))
        for i, (name, matrix) in enumerate(zip(names[row], matrices, strict=True)):
            axes = style.axes(figure, "", "", "", (2, len(matrices), row * len(matrices) + i + 1))
            _show(axes, name, matrix, most, colours)
    return figure


def _show(axes: "Axes", name: str, matrix: np.ndarray, most: float, colours: object) -> None:
    axes.set_title(name, color=style.NEUTRAL.text, fontsize=8)
    axes.imshow(matrix, cmap=colours, vmin=-most, vmax=most)
    axes.grid(False)
    axes.set_xticks([])
    axes.set_yticks([])
