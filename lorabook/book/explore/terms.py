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

NO_BREAK = "\N{NO-BREAK SPACE}"
PLAIN = GLoRAForm("none", "lora", "none", "none", "none")
"""LoRA."""


@dataclass(frozen=True)
class State:
    """What the layer should become, and the kind of each term."""

    wanted: str = control(HALF, Choice("the task wants", WISHES))
    A: str = control("none", Steps("W₀ ⊙ A", KINDS["A"]))
    B: str = control("lora", Steps("B", KINDS["B"]))
    E: str = control("none", Steps("E", KINDS["E"]))
    C: str = folded("none", Steps("W₀C", KINDS["C"]))
    D: str = folded("none", Steps("D ⊙ b₀", KINDS["D"]))


@dataclass(frozen=True)
class Result:
    """What is there and wanted, and the terms in use.

    layer, bias: W₀ and the wanted W, b₀ and the wanted b. added, moved: W₀ ⊙ A and B; W₀C, D ⊙ b₀ and E: their sum with
    W₀ is W, with b₀ it is b. reached, plain: the share of the wish, here and by LoRA.
    """

    layer: np.ndarray
    bias: np.ndarray
    added: np.ndarray
    moved: np.ndarray
    numbers: int
    rank: int
    reached: float
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
    used = [f"{term} {getattr(form, term)}" for term in "ABCDE" if getattr(form, term) != "none"] or ["no term"]
    count = f"{numbers} number{'s' * (numbers != 1)},"
    said = (f"{state.wanted[0].upper()}{state.wanted[1:]}:", *(f"{each}," for each in used), count,
            f"reach {reached:.0%}.", f"LoRA reaches {plain:.0%}", f"with {plain_numbers}.")  # fmt: skip
    # A reader's line breaks where two of these meet, and each is sent once (`Answers.packed`).
    sentence = " ".join(each.replace(" ", NO_BREAK) for each in said)
    rank = int(linalg.matrix_rank(weight.merged - base.matrix, atol=1e-4))
    return Result(
        _sent([base.matrix, base.matrix + m]), _sent([base.bias, base.bias + v]), _sent(list(weight.parts.values())),
        _sent(list(bias.parts.values())), numbers, rank, reached, plain, sentence,
    )  # fmt: skip


def _fits(wish: str, form: GLoRAForm, found: Fits) -> tuple[Fit, Fit]:
    return found.weights[wish, form.A, form.B], found.biases[wish, form.C, form.D, form.E]


def share(wish: str, form: GLoRAForm, found: Fits) -> float:
    """Return the share of a wish that these kinds reach."""
    left = sum(fit.left for fit in _fits(wish, form, found))
    return round(1 - left / sum(float(part.square().sum()) for part in found.wanted[wish]), 4)


def _sent(matrices: list[Tensor]) -> np.ndarray:
    """Return matrices in one array, without what the least squares leave of a zero."""
    values = np.stack([each.numpy() for each in matrices])
    return np.where(np.abs(values) < 1e-4, 0, values).astype(np.float32)


def still(state: State, result: Result) -> "Figure":
    """Draw the layer, its terms and the wish without a browser."""
    from matplotlib.colors import LinearSegmentedColormap

    figure = style.figure(5.2, 2.5)
    colours = LinearSegmentedColormap.from_list(
        "signs", [style.TRAINABLE.light, style.NEUTRAL.grid[:7] + "22", style.variant("rsLoRA").light]
    )
    figure.suptitle(result.sentence, color=style.NEUTRAL.text, fontsize=8, x=0.01, ha="left", wrap=True)
    names = ("W₀", "W₀ ⊙ A", "B", "W", "wanted W"), ("b₀", "W₀C", "D ⊙ b₀", "E", "b", "wanted b")
    for row, ((given, wish), parts) in enumerate(((result.layer, result.added), (result.bias, result.moved))):
        matrices = [given, *parts, given + parts.sum(0), wish]
        most = float(np.abs([given, wish]).max())
        for i, (name, matrix) in enumerate(zip(names[row], matrices, strict=True)):
            axes = style.axes(figure, "", "", "", (2, len(matrices), row * len(matrices) + i + 1))
            _show(axes, name, matrix.reshape(D_OUT, -1), most, colours)
    return figure


def _show(axes: "Axes", name: str, matrix: np.ndarray, most: float, colours: object) -> None:
    axes.set_title(name, color=style.NEUTRAL.text, fontsize=8)
    axes.imshow(matrix, cmap=colours, vmin=-most, vmax=most)
    axes.grid(False)
    axes.set_xticks([])
    axes.set_yticks([])
