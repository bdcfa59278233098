"""Chapter 01's pictures: where the energy of an update lies, and what a rank keeps of what was learnt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from lorabook.book import style
from lorabook.book.figures.picture import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TEXT = style.NEUTRAL.text
WIDTH, LETTERS = 5.2, 66
"""Inches, and letters of a title: what a notebook has room for in a window of 1000 pixels, beside the list of files."""
MIDDLE = "#eef0f3"
"""Between the two signs of a matrix picture: paper on either ground, so that dark numbers can be read on every cell."""


@dataclass(frozen=True)
class Ranks:
    """One panel: `cut[r]` and `lora[r]` are the losses of the seeds at rank r, `full` those of the whole ΔW."""

    base: float
    full: Sequence[float]
    cut: Mapping[int, Sequence[float]]
    lora: Mapping[int, Sequence[float]]

    def gain_kept(self, losses: Sequence[float]) -> float:
        """Return the share of full fine-tuning's gain that these losses keep, on average over seeds."""
        return float((self.base - np.mean(losses)) / (self.base - np.mean(self.full)))


def grids(matrices: Mapping[str, Tensor], sentence: str) -> Picture:
    """Draw small matrices side by side on one scale: blue is negative, orange positive, the number in each cell."""
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("signs", [style.OKABE_ITO[4][0], MIDDLE, style.TRAINABLE.light])
    largest = max(m.abs().max().item() for m in matrices.values())
    figure = style.figure(1.9 * len(matrices), 2.5)
    figure.suptitle(fill(sentence, LETTERS), color=TEXT, fontsize=10, x=0.01, ha="left")
    for place, (title, m) in enumerate(matrices.items(), start=1):
        panel = figure.add_subplot(1, len(matrices), place)
        panel.imshow(m.numpy(), cmap=colours, vmin=-largest, vmax=largest)
        panel.set_title(title, color=TEXT, fontsize=9)
        panel.set_axis_off()
        for (i, j), value in np.ndenumerate(m.numpy()):
            written = f"{round(value, 1) + 0.0:.1f}"
            panel.text(j, i, written, ha="center", va="center", color=style.LIGHT.text, fontsize=9)
    return Picture(sentence, figure)


def energy_by_projection(shares: Mapping[str, Sequence[Mapping[str, float]]], r: int, sentence: str) -> Picture:
    """Draw, for each projection of a layer, the share of energy in the first r directions; a mark stands for a run.

    `shares[matrix]` has one {projection: share} for each run; the order of the matrices is that of `MARKS`.
    """
    figure = style.figure(WIDTH, 3.6)
    figure.suptitle(fill(sentence, LETTERS), color=TEXT, fontsize=10, x=0.01, ha="left")
    axes = style.axes(figure, "", f"share of ‖·‖² in the {r} strongest directions (%)", "")
    projections = list(next(iter(shares.values()))[0])
    for matrix, (colour, marker, filled) in zip(shares, MARKS, strict=False):
        for row, projection in enumerate(projections):
            values = [100 * run[projection] for run in shares[matrix]]
            axes.plot(
                values, [row] * len(values), marker, color=colour, markersize=7, alpha=0.85,
                markerfacecolor=colour if filled else "none", label=matrix if row == 0 else None,
            )  # fmt: skip
    axes.set_yticks(range(len(projections)), projections)
    axes.set_xlim(0, 100)
    axes.invert_yaxis()
    axes.legend(frameon=False, labelcolor=TEXT, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4)
    return Picture(sentence, figure)


MARKS = (
    (style.TRAINABLE.light, "o", True),
    (style.TRAINABLE.light, "s", False),
    (style.FROZEN.light, "D", True),
    (style.FROZEN.light, "|", True),
)


def loss_by_rank(panels: Mapping[str, Ranks], sentence: str) -> Picture:
    """Draw the loss on unseen text against the rank: ΔW cut after training, and LoRA trained at that rank."""
    figure = style.figure(WIDTH, 3.4)
    figure.suptitle(fill(sentence, LETTERS), color=TEXT, fontsize=10, x=0.01, ha="left")
    for place, (title, panel) in enumerate(panels.items(), start=1):
        unit = "loss (nats per token)" if place == 1 else ""
        axes = style.axes(figure, title, "rank r (log scale)", unit, (1, len(panels), place))
        _panel(axes, panel)
        if place == 1:
            _legend(axes)
    return Picture(sentence, figure)


def _panel(axes: "Axes", panel: Ranks) -> None:
    ranks = list(panel.cut)
    seeds = np.array(list(panel.cut.values()))
    axes.axhline(panel.base, color=style.FROZEN.light, linewidth=1.4)
    _note(axes, "base, not tuned", ranks[-1], panel.base)
    axes.axhline(np.mean(panel.full), color=TEXT, linestyle=":", linewidth=1.6)
    _note(axes, "full fine-tuning", ranks[-1], np.mean(panel.full))
    axes.plot(ranks, seeds, color=TEXT, linewidth=0.6, alpha=0.5)
    label = "full ΔW, cut to rank r"
    axes.plot(ranks, seeds.mean(1), color=TEXT, linestyle=":", marker=".", linewidth=1.8, label=label)
    axes.margins(y=0.12)
    stroke = style.variant("LoRA")
    for r, losses in panel.lora.items():
        axes.plot([r] * len(losses), losses, style.MATPLOTLIB_MARKER[stroke.marker], color=stroke.light, alpha=0.8,
                  label="LoRA, trained at rank r" if r == min(panel.lora) else None)  # fmt: skip
    _ranks(axes, ranks)


def energy_and_gain(ranks: Sequence[int], energy: Sequence[float], gain: Sequence[float], know_nothing: float,
                    sentence: str) -> Picture:  # fmt: skip
    """Draw two shares against the rank: energy of ΔW kept, and gain in loss kept; and the gain of uniform guessing."""
    figure = style.figure(WIDTH, 3.2)
    figure.suptitle(fill(sentence, LETTERS), color=TEXT, fontsize=10, x=0.01, ha="left")
    axes = style.axes(figure, "", "rank r (log scale)", "share (%)")
    grey, orange = style.FROZEN.light, style.TRAINABLE.light
    axes.plot(ranks, 100 * np.array(energy), color=grey, linestyle="-.", marker="s", label="energy of ΔW kept")
    axes.plot(ranks, 100 * np.array(gain), color=orange, marker="o", label="gain in loss kept")
    axes.axhline(100 * know_nothing, color=style.FALSE.light, linestyle="--", linewidth=1.2)
    axes.annotate("guessing every token alike", (ranks[0], 100 * know_nothing), (0, -12), textcoords="offset points",
                  color=TEXT, fontsize=8)  # fmt: skip
    axes.set_ylim(0, 105)
    _ranks(axes, ranks)
    _legend(axes)
    return Picture(sentence, figure)


def _note(axes: "Axes", text: str, x: float, y: float) -> None:
    axes.annotate(text, (x, y), (0, -12), textcoords="offset points", ha="right", color=TEXT, fontsize=8)


def _ranks(axes: "Axes", ranks: Sequence[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(ranks), [str(r) for r in ranks])
    axes.minorticks_off()


def _legend(axes: "Axes") -> None:
    axes.legend(frameon=False, labelcolor=TEXT, fontsize=8)
