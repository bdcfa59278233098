"""Rate explorer: recorded trainings at every pair (η_A, η_B), on decoders of three widths; LoRA+ is a line there.

Left the plane of one width, its loss as colour and number, the line η_B = λη_A, the best point of every width. Right
the losses along the line: what a sweep of the learning rate shows to somebody who has chosen λ.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lorabook.arena.rate_runs import RATES_A, RATES_B, WIDTHS, RateRuns, recorded
from lorabook.book import style
from lorabook.book.explore.explorer import Explorer, tabled_explorer
from lorabook.book.explore.state import Choice, Steps, control

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RATIOS = tuple(2.0**k for k in range(-4, 7))
OFFSET = round(np.log2(RATES_B[0] / RATES_A[0]))
"""Both axes go in doublings: the line η_B = 2ᵏη_A has row i over column i + OFFSET − k."""


Point = tuple[int, int]
"""Row and column: places in `RATES_B` and in `RATES_A`."""


@dataclass(frozen=True)
class State:
    """Which decoder, the ratio, and the rate of A that is read off."""

    width: int = control(512, Choice("width n", WIDTHS))
    ratio: float = control(1.0, Steps("λ = η_B/η_A", RATIOS))
    rate: float = control(RATES_A[5], Steps("η_A", RATES_A))


@dataclass(frozen=True)
class Result:
    """Losses, means of the seeds: `plane` a row an η_B, a column an η_A.

    `line` and `lora` have row and column of the points with the chosen ratio and with ratio 1, from the smallest rate
    up, `best` and `best_lora` those of the lowest, `optima` those of each width's lowest. `point` is where the controls
    stand; its row is −1 outside of the plane.
    """

    plane: np.ndarray
    rates_a: tuple[float, ...]
    rates_b: tuple[float, ...]
    widths: tuple[int, ...]
    optima: tuple[Point, ...]
    line: tuple[Point, ...]
    best: Point
    lora: tuple[Point, ...]
    best_lora: Point
    point: Point
    start: float
    sentence: str


@dataclass(frozen=True)
class Planes:
    """Losses by width, seed, η_B and η_A, and the base's by width."""

    losses: np.ndarray
    start: np.ndarray

    def plane(self, width: int) -> np.ndarray:
        """Return the mean over the seeds, a row an η_B, a column an η_A."""
        return self.losses[WIDTHS.index(width)].mean(0)

    def lowest(self, width: int, among: Sequence[Point]) -> Point:
        """Return the point of the lowest loss."""
        plane = self.plane(width)
        return min(among, key=lambda point: plane[point])

    def edge(self, width: int, more: float = 0.05) -> float:
        """Return the largest η_A at which B, at its best rate, still ends within `more` nats of the best."""
        row, _ = self.lowest(width, EVERYWHERE)
        losses = self.plane(width)[row]
        return max(rate for rate, loss in zip(RATES_A, losses, strict=True) if loss <= losses.min() + more)

    def held_out(self, width: int, among: Sequence[Point]) -> np.ndarray:
        """Return each seed's loss at the point that is the best of these for the other seeds.

        The lowest of many noisy means is lower than what it stands for; this is not.
        """
        losses = self.losses[WIDTHS.index(width)]
        others = [np.delete(losses, seed, axis=0).mean(0) for seed in range(len(losses))]
        return np.array(
            [mine[min(among, key=lambda point: other[point])] for mine, other in zip(losses, others, strict=True)]
        )


EVERYWHERE = tuple(np.ndindex(len(RATES_B), len(RATES_A)))


def line(ratio: float) -> tuple[Point, ...]:
    """Return every recorded point with this ratio, from the smallest rate up."""
    shift = OFFSET - round(np.log2(ratio))
    return tuple((row, row + shift) for row in range(len(RATES_B)) if 0 <= row + shift < len(RATES_A))


def gathered(rows: Sequence[RateRuns]) -> Planes:
    """Return the rows as one array.

    Raises:
        KeyError: a seed lacks a row that another one has.
    """
    by_key = {row.key: row for row in rows}
    seeds = sorted({row.seed for row in rows})
    losses = [[[by_key[n, b, seed].losses for b in RATES_B] for seed in seeds] for n in WIDTHS]
    return Planes(np.array(losses), np.array([by_key[n, RATES_B[0], seeds[0]].start for n in WIDTHS]))


def rate_plane() -> Explorer:
    """Return the rate explorer, on the record that the book ships."""
    return explore_rates(gathered(recorded()))


def explore_rates(planes: Planes) -> Explorer:
    """Return the rate explorer of these losses."""
    return tabled_explorer("rates", State(), partial(compute, planes=planes), still)


def compute(state: State, planes: Planes) -> Result:
    """Read one point off, and the best one of its line."""
    plane, mine, lora = planes.plane(state.width), line(state.ratio), line(1.0)
    best, best_lora = (planes.lowest(state.width, points) for points in (mine, lora))
    column = RATES_A.index(state.rate)
    row = {column: row for row, column in mine}.get(column, -1)
    read = f"{plane[row, column]:.2f} nats per letter" if row >= 0 else "not recorded"
    sentence = (
        f"Width {state.width}, η_A = {state.rate:.2g}, η_B = {state.ratio:g}·η_A = {state.ratio * state.rate:.2g}: "
        f"{read}. The best point of the line, η_A = {RATES_A[best[1]]:.2g}, ends at {plane[best]:.2f}, the best of the "
        f"plane at {plane.min():.2f}."
    )
    return Result(
        plane, RATES_A, RATES_B, WIDTHS, tuple(planes.lowest(n, EVERYWHERE) for n in WIDTHS), mine, best, lora,
        best_lora, (row, column), float(planes.start[WIDTHS.index(state.width)]), sentence,
    )  # fmt: skip


def still(state: State, result: Result) -> "Figure":
    """Draw both panels without a browser."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgba

    figure = style.figure(7.4, 3.4)
    figure.suptitle(result.sentence, color=style.NEUTRAL.text, fontsize=9, x=0.01, ha="left", wrap=True)
    left = style.axes(figure, "", "η_A (log scale)", "η_B (log scale)", (1, 2, 1))
    right = style.axes(figure, "", "η_A (log scale)", "nats per letter, along the line", (1, 2, 2))
    mine, lora = style.variant("LoRA+"), style.variant("LoRA")
    low = result.plane.min()
    left.grid(False)
    fading = LinearSegmentedColormap.from_list("loss", [to_rgba(mine.light, alpha) for alpha in (0.6, 0.0)])
    left.imshow(result.plane, cmap=fading, vmin=low, vmax=low + 0.3, origin="lower", aspect="auto")
    left.set_xticks(range(0, len(RATES_A), 3), [f"{RATES_A[i]:.2g}" for i in range(0, len(RATES_A), 3)])
    left.set_yticks(range(0, len(RATES_B), 2), [f"{RATES_B[i]:.2g}" for i in range(0, len(RATES_B), 2)])
    tilted = [] if state.ratio == 1 else [(state.ratio, mine, f"λ = {state.ratio:g}", result.line)]
    lines = [(1.0, lora, "LoRA, λ = 1", result.lora), *tilted]
    for ratio, look, name, _ in lines:
        rows, columns = zip(*line(ratio), strict=True)
        left.plot(columns, rows, style.MATPLOTLIB_DASH[look.dash], color=look.light, label=name)
    for place, (width, (row, column)) in enumerate(zip(WIDTHS, result.optima, strict=True)):
        symbol = style.MATPLOTLIB_MARKER[style.series(place).marker]
        left.plot(column, row, symbol, color=style.NEUTRAL.text, label=f"best, n = {width}", linestyle="none")
    for _, look, _, points in lines:
        rates, losses = [RATES_A[column] for _, column in points], [result.plane[point] for point in points]
        right.plot(rates, losses, style.MATPLOTLIB_DASH[look.dash], color=look.light, marker=".")
    right.set_xscale("log")
    right.set_xticks(RATES_A[::3], [f"{rate:.2g}" for rate in RATES_A[::3]])
    right.minorticks_off()
    right.set_ylim(low - 0.03, low + 0.8)
    right.legend(*left.get_legend_handles_labels(), frameon=False, labelcolor=style.NEUTRAL.text, fontsize=8)
    return figure
