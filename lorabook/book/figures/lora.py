"""Chapter 02's pictures: the factors to scale, who moves first, LoRA against full fine-tuning, what goes wrong."""

from collections.abc import Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from lorabook.book import style
from lorabook.book.figures.picture import Picture
from lorabook.tasks.study import Outcome
from lorabook.tasks.train import Setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TEXT, QUIET = style.NEUTRAL.text, style.NEUTRAL.quiet
ORANGE, GREY, BLUE = style.TRAINABLE.light, style.FROZEN.light, style.OKABE_ITO[4][0]


def factors(d_out: int, d_in: int, r: int, sentence: str) -> Picture:
    """Draw W₀, B and A as rectangles to scale: sides are d_out, d_in and r."""
    from matplotlib.patches import Rectangle

    figure = style.figure(6.8, 2.5)
    axes = figure.add_subplot(1, 1, 1)
    gap = 0.5 * d_in
    b_at = d_in + gap
    a_at = b_at + r + 0.2 * gap
    parts = ((0, 0, d_in, d_out, GREY, "W₀"), (b_at, 0, r, d_out, ORANGE, "B"), (a_at, d_out - r, d_in, r, ORANGE, "A"))
    for x, y, width, height, colour, name in parts:
        axes.add_patch(Rectangle((x, y), width, height, facecolor=colour, edgecolor="none", alpha=0.85))
        frozen = name == "W₀"
        axes.text(x + width / 2, y + height / 2 if frozen else y - 0.07 * d_out, name, ha="center", va="center",
                  color="white" if frozen else TEXT, fontsize=13, fontweight="bold")  # fmt: skip
    axes.text(d_in + 0.5 * gap, d_out / 2, "+   s ·", ha="center", va="center", color=TEXT, fontsize=13)
    sizes = {d_in / 2: f"{d_out} × {d_in}, frozen", b_at: f"{d_out} × {r}", a_at + d_in / 2: f"{r} × {d_in}, trained"}
    for x, size in sizes.items():
        axes.text(x, d_out * 1.1, size, ha="center", va="center", color=TEXT, fontsize=9)
    axes.set_xlim(-2, a_at + d_in + 2)
    axes.set_ylim(-0.16 * d_out, 1.18 * d_out)
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.invert_yaxis()
    figure.suptitle(sentence, color=TEXT, fontsize=10, x=0.01, ha="left")
    return Picture(sentence, figure)


def lines(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]], sentence: str, x: str, y: str, *, log: bool = False
) -> Picture:
    """Draw a few named lines, each (x values, y values), in a fixed order of colours, dashes and markers."""
    figure = style.figure(6.4, 3.0)
    axes = style.axes(figure, sentence, x, y + " (log scale)" * log)
    for place, (name, (at, values)) in enumerate(series.items()):
        colour, dash, marker = _look(style.series(place))
        axes.plot(at, values, color=colour, linestyle=dash, marker=marker, markersize=5, label=name)
    if log:
        axes.set_yscale("log")
    _legend(axes)
    return Picture(sentence, figure)


def tuning(finals: Mapping[str, Mapping[float, float]], start: float, sentence: str) -> Picture:
    """Draw the final loss against the learning rate, a line for each contender, and the base."""
    figure = style.figure(6.4, 3.0)
    axes = style.axes(figure, sentence, "learning rate (log scale)", "validation loss (nats per token)")
    for (name, losses), (colour, dash, marker) in zip(finals.items(), _contenders(list(finals)), strict=True):
        axes.plot(list(losses), list(losses.values()), color=colour, linestyle=dash, marker=marker, label=name)
    _base(axes, max(max(losses) for losses in finals.values()), start)
    axes.set_xscale("log")
    _legend(axes)
    return Picture(sentence, figure)


def comparison(setting: Setting, outcomes: Sequence[Outcome], sentence: str) -> Picture:
    """Draw training curves (seeds thin, mean thick) and final validation losses (a mark a seed, a bar their spread)."""
    figure = style.figure(7.4, 3.2)
    figure.suptitle(sentence, color=TEXT, fontsize=10, x=0.01, ha="left")
    left = style.axes(figure, "training, mean of five steps", "step", "loss (nats per token)", (1, 2, 1))
    right = style.axes(figure, "unseen text, after training", "", "", (1, 2, 2))
    names = [outcome.contender.name for outcome in outcomes]
    for place, (outcome, (colour, dash, marker)) in enumerate(zip(outcomes, _contenders(names), strict=True)):
        smooth = np.array([np.convolve(curve, np.full(5, 0.2), "valid") for curve in outcome.curves])
        steps = np.arange(smooth.shape[1]) + 5
        left.plot(steps, smooth.T, color=colour, linewidth=0.5, alpha=0.4)
        left.plot(steps, smooth.mean(0), color=colour, linestyle=dash, linewidth=2, label=outcome.contender.name)
        right.errorbar([place], [outcome.mean], [outcome.spread], color=colour, capsize=5, linewidth=1.5)
        right.plot([place] * len(outcome.finals), outcome.finals, marker, color=colour, alpha=0.6, markersize=5)
    _base(right, len(outcomes) - 0.6, setting.start)
    right.set_xticks(range(len(outcomes)), [name.replace(", ", ",\n").replace(" fine", "\nfine") for name in names])
    right.set_xlim(-0.5, len(outcomes) - 0.5)
    _legend(left)
    return Picture(sentence, figure)


def cure(wrong: Mapping[str, Sequence[float]], right: Mapping[str, Sequence[float]], sentence: str, y: str) -> Picture:
    """Draw what goes wrong (vermilion, dashed) and what cures it, against the step."""
    figure = style.figure(6.4, 2.8)
    axes = style.axes(figure, sentence, "step", y)
    for name, values in wrong.items():
        axes.plot(values, color=style.FALSE.light, linestyle="--", linewidth=1.8, label=name)
    for place, (name, values) in enumerate(right.items()):
        colour, dash, _ = _look(style.series(place))
        axes.plot(values, color=colour, linestyle=dash, linewidth=1.8, label=name)
    _legend(axes)
    return Picture(sentence, figure)


def _contenders(names: Sequence[str]) -> list[tuple[str, object, str]]:
    """Return colour, dash and marker: full fine-tuning is the reference, everyone else takes the next colour."""
    reference = (TEXT, style.MATPLOTLIB_DASH[style.REFERENCE.dash], ".")
    others = (_look(style.series(place)) for place in count())
    return [reference if name == "full fine-tuning" else next(others) for name in names]


def _look(stroke: style.Stroke) -> tuple[str, object, str]:
    """Return a stroke's colour, dash and marker as matplotlib writes them."""
    return stroke.light, style.MATPLOTLIB_DASH[stroke.dash], style.MATPLOTLIB_MARKER[stroke.marker]


def _base(axes: "Axes", x: float, start: float) -> None:
    """Draw the loss of the base that was not tuned."""
    axes.axhline(start, color=GREY, linewidth=1.2)
    axes.annotate("base", (x, start), (0, -11), textcoords="offset points", ha="right", color=TEXT, fontsize=8)


def _legend(axes: "Axes") -> None:
    if axes.get_xlabel() == "step":
        axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False, labelcolor=TEXT, fontsize=8)
