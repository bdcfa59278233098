"""Chapter 11's tables and pictures: how far rows turn and stretch, and what their lengths are worth."""

from collections.abc import Mapping
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from lorabook.arena.experiment import FULL
from lorabook.arena.length_patterns import RELATIVE, STRETCH, TURN, Pattern
from lorabook.arena.length_patterns import recorded as recorded
from lorabook.arena.length_runs import FAR, FIXED, IN_GRAPH
from lorabook.arena.methods import BASELINE
from lorabook.book import style
from lorabook.book.figures.first_steps import T_95
from lorabook.book.figures.picture import Picture
from lorabook.book.shown import Shown, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TEXT = style.NEUTRAL.text
WIDTH, LETTERS = 5.2, 66
PLUS_MINUS = "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}"
PANELS = (BASELINE, "DoRA", FULL)
ADAPTERS = (BASELINE, "DoRA", FIXED, IN_GRAPH)
"""Not full fine-tuning, which trains more than the matrices: to take these back leaves the rest as it is trained."""
PAPER = {FULL: "−0.62", BASELINE: "+0.83", "DoRA": "−0.31", FAR: "·"}
"""The correlations that Liu et al. 2024 print, over query matrices and over their looks during training."""


def of_rows(sides: Mapping[str, Pattern], sentence: str) -> Picture:
    """Draw turn and relative stretch of every row of one matrix, and 1/(1 − ΔD) − 1, a move at right angles."""
    figure = _figure(sentence, 2.9)
    far = max(turn.max() for turn, _ in (sides[name].turned_rows() for name in PANELS))
    bend = np.linspace(0, far, 50)
    for place, name in enumerate(PANELS, start=1):
        axes = _panel(figure, name, place, "ΔD, turn of a row", "longer by, share of ‖W₀ᵢ‖")
        if place > 1:
            axes.sharex(figure.axes[0])
            axes.sharey(figure.axes[0])
            axes.tick_params(labelleft=False)
        axes.plot(bend, 1 / (1 - bend) - 1, color=TEXT, linewidth=1.2, linestyle="--")
        axes.plot(*sides[name].turned_rows(), linestyle="", markersize=2.5, **_look(name))
    return Picture(sentence, figure)


def of_matrices(sides: Mapping[str, Pattern], kind: str, sentence: str) -> Picture:
    """Draw (ΔD, ΔM) of every matrix of a kind at every look and with every seed: the paper's picture, each to scale."""
    figure = _figure(sentence, 2.9)
    for place, name in enumerate(PANELS, start=1):
        axes = _panel(figure, name, place, "ΔD, mean over rows", "ΔM, mean over rows")
        points = sides[name].moved(kind).reshape(-1, 3)
        axes.plot(points[:, TURN], points[:, STRETCH], linestyle="", markersize=2.5, **_look(name))
        slope, height = np.polyfit(points[:, TURN], points[:, STRETCH], 1)
        ends = points[:, TURN].min(), points[:, TURN].max()
        axes.plot(ends, [slope * x + height for x in ends], color=TEXT, linewidth=1.5)
    return Picture(sentence, figure)


def correlations(sides: Mapping[str, Pattern]) -> Shown:
    """Return the correlations of ΔM and ΔD: the paper's over matrices, ours, and ours over the rows of a matrix."""
    asked = {
        "queries, here": lambda side: side.over_matrices("q_proj"),
        "ΔM over length": lambda side: side.over_matrices("q_proj", RELATIVE),
        "all 28 matrices": lambda side: side.over_matrices(),
        "rows of a matrix": lambda side: side.over_rows,
    }
    rows = [(name, paper, *(_spread(of(sides[name])) for of in asked.values())) for name, paper in PAPER.items()]
    return table(("correlation of ΔM and ΔD", "queries, paper", *asked), rows)


def worth(sides: Mapping[str, Pattern]) -> Shown:
    """Return what adapters score, against LoRA's seed by seed, and with one of the two taken back to W₀'s."""
    lora = sides[BASELINE].scores
    rows = []
    for name in ADAPTERS:
        side = sides[name]
        apart = "·" if name == BASELINE else _interval(side.scores - lora)
        back = (f"{values.mean():.3f}" for values in (side.directions, side.lengths))
        rows.append((name, f"{side.lr:.4f}", f"{side.scores.mean():.3f}", apart, *back))
    return table(("contender", "rate", "loss", "minus LoRA's", "with W₀'s lengths", "with W₀'s directions"), rows)


def _spread(values: np.ndarray) -> str:
    return f"{values.mean():+.2f}{PLUS_MINUS}{values.std(ddof=1):.2f}".replace("-", "−")


def _interval(apart: np.ndarray) -> str:
    half = T_95[len(apart)] * apart.std(ddof=1) / len(apart) ** 0.5
    return f"{apart.mean():+.3f}{PLUS_MINUS}{half:.3f}".replace("-", "−")


def _figure(sentence: str, high: float) -> "Figure":
    figure = style.figure(WIDTH, high)
    figure.suptitle(fill(sentence, LETTERS), color=TEXT, fontsize=10, x=0.01, ha="left")
    return figure


def _panel(figure: "Figure", name: str, place: int, x: str, y: str) -> "Axes":
    return style.axes(figure, name, x, y if place == 1 else "", (1, len(PANELS), place))


def _look(name: str) -> dict[str, object]:
    if name == FULL:
        return {"color": TEXT, "marker": "."}
    stroke = style.variant(name)
    return {"color": stroke.light, "marker": style.MATPLOTLIB_MARKER[stroke.marker]}
