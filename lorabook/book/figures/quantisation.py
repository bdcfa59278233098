"""Chapter 03's pictures: codes on the number line, what each table loses, and training on what is left."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from torch import Tensor

from lorabook.book import style
from lorabook.book.figures.picture import Picture

TEXT = style.NEUTRAL.text


def codes_on_the_line(
    x: Float[Tensor, " n"], tables: Mapping[str, Tensor], false: Sequence[str], sentence: str
) -> Picture:
    """Draw where normalised weights lie, and beneath them the codes of each table; false tables dashed vermilion."""
    figure = style.figure(6.8, 3.0)
    axes = style.axes(figure, sentence, "w / absmax of its block", "weights (share per 0.02)")
    axes.hist(x.numpy(), bins=np.linspace(-1, 1, 101), weights=np.full(len(x), 1 / len(x)), color=style.FROZEN.light)
    top = axes.get_ylim()[1]
    for row, (name, codes) in enumerate(tables.items(), start=1):
        wrong = name in false
        colour = style.FALSE.light if wrong else style.OKABE_ITO[row][0]
        y = -0.16 * top * row
        axes.vlines(codes.numpy(), y - 0.05 * top, y + 0.05 * top, color=colour, linestyle="--" if wrong else "-")
        axes.text(1.03, y, name, ha="left", va="center", color=colour, fontsize=8)
    axes.axhline(0, color=style.NEUTRAL.quiet, linewidth=0.8)
    axes.set_xlim(-1.02, 1.02)
    axes.set_yticks([tick for tick in axes.get_yticks() if 0 <= tick <= top])
    return Picture(sentence, figure)


def losses(base: float, runs: Mapping[str, Sequence[Sequence[float]]], sentence: str, over: int = 3) -> Picture:
    """Draw training curves: `runs[variant][seed]` are losses per step; thin lines are seeds, thick ones their mean."""
    figure = style.figure(6.8, 3.2)
    axes = style.axes(figure, sentence, "step", f"loss (nats per token, mean of {over} steps)")
    smooth = np.ones(over) / over
    for name, seeds in runs.items():
        stroke = style.variant(name)
        curves = np.array([np.convolve(seed, smooth, "valid") for seed in seeds])
        steps = np.arange(over, over + curves.shape[1])
        axes.plot(steps, curves.T, color=stroke.light, linewidth=0.6, alpha=0.6)
        dash = style.MATPLOTLIB_DASH[stroke.dash]
        marker = style.MATPLOTLIB_MARKER[stroke.marker]
        axes.plot(steps, curves.mean(0), color=stroke.light, linestyle=dash, marker=marker, markevery=4, label=name)
    axes.axhline(base, color=style.FROZEN.light, linestyle=":", label="the base, untrained")
    axes.legend(frameon=False, fontsize=8, labelcolor=TEXT)
    return Picture(sentence, figure)


def bars(values: Mapping[str, float], unit: str, sentence: str, false: Sequence[str] = ()) -> Picture:
    """Draw one horizontal bar for each name, with its number; what is false in vermilion, hatched."""
    figure = style.figure(6.8, 0.6 + 0.42 * len(values))
    axes = style.axes(figure, sentence, unit, "")
    for place, (name, value) in enumerate(values.items()):
        wrong = name in false
        colour = style.FALSE.light if wrong else style.QUANTISED.light
        axes.barh(place, value, color=colour, hatch="//" if wrong else None, alpha=0.85, height=0.6)
        axes.text(value, place, f" {value:.3g}", va="center", color=TEXT, fontsize=8)
    axes.set_yticks(range(len(values)), list(values))
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12 * max(values.values()))
    return Picture(sentence, figure)
