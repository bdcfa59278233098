"""Chapter 24's table and picture of what a step of 64 requests costs, mixed or merged in turn."""

import statistics
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from lorabook.arena.serving_costs import BATCH, RANKS, SIZES, Cost, ratio
from lorabook.book import style
from lorabook.book.figures.picture import Picture
from lorabook.book.shown import Shown, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (5.2, 3.4)
"""Inches."""
RANK = {ranks[0]: ranks for ranks in RANKS if len(ranks) == 1}
WAYS = {"mixed": "one mixed batch", "merged": "merged in turn"}


def large(costs: Iterable[Cost], r: int) -> list[Cost]:
    """Return the measurements there are of a full batch with adapters of one rank, fewest customers first."""
    found = {cost.adapters: cost for cost in costs if cost.rows == BATCH and cost.ranks == RANK[r]}
    return [found[k] for k in SIZES if k in found]


def gain(costs: Sequence[Cost], r: int, customers: int) -> tuple[float, float, float]:
    """Return how many times as long as one mixed batch merging in turn takes: lower quartile, median, upper."""
    (cost,) = [cost for cost in large(costs, r) if cost.adapters == customers]
    return ratio(cost.merged, cost.mixed)


def costs_table(costs: Sequence[Cost]) -> Shown:
    """Return a table of both ways, each as a ratio to the bare base: median over rounds, and quartiles."""
    rows = [
        (r, cost.adapters, _over(cost.mixed, cost.base), _over(cost.merged, cost.base), _over(cost.merged, cost.mixed))
        for r in RANK
        for cost in large(costs, r)
    ]
    return table(("rank", "customers", "mixed / base", "merged in turn / base", "merged in turn / mixed"), rows)


def _over(side: Sequence[float], to: Sequence[float]) -> str:
    low, middle, high = ratio(side, to)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def by_customers(costs: Sequence[Cost]) -> Picture:
    """Draw milliseconds for a token for each of 64 requests against how many customers they belong to."""
    sentence = f"{BATCH} requests, a token each: mixed, it matters less to how many customers they belong"
    figure = style.figure(*SIZE)
    figure.suptitle(sentence, color=style.NEUTRAL.text, fontsize=10, x=0.01, ha="left", wrap=True)
    for place, r in enumerate(RANK):
        some = large(costs, r)
        axes = style.axes(figure, f"rank {r}", "customers", "" if place else "milliseconds", (1, len(RANK), place + 1))
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(SIZES, [str(k) for k in SIZES])
        axes.set_yticks((10, 100), ("10", "100"))
        axes.set_ylim(4, 500)
        for number, side in enumerate(WAYS):
            _line(axes, number, some, side)
        base = statistics.median(1e3 * t for cost in some for t in cost.base)
        axes.axhline(base, color=style.NEUTRAL.text, linestyle=":", label="bare base")
    axes.legend(frameon=False, labelcolor=style.NEUTRAL.text, fontsize=8, loc="upper left")
    return Picture(sentence, figure)


def _line(axes: "Axes", place: int, some: Sequence[Cost], side: str) -> None:
    stroke = style.series(place)
    axes.plot(
        [cost.adapters for cost in some], [1e3 * statistics.median(getattr(cost, side)) for cost in some],
        label=WAYS[side], color=stroke.light, linestyle=style.MATPLOTLIB_DASH[stroke.dash], markersize=5,
        marker=style.MATPLOTLIB_MARKER[stroke.marker],
    )  # fmt: skip
