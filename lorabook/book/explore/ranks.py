"""Rank explorer: recorded trainings at every rank, under α/r and under α/√r with the same α, at every learning rate.

Left the curves at one rate, or each rank's at its own best; right where each rank ends at each rate, with its best one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lorabook.arena.rank_runs import ALPHA, PLAIN, RANKS, RATES, SCALES, STEPS, RankRun, read
from lorabook.book import style
from lorabook.book.explore.explorer import Explorer, tabled_explorer
from lorabook.book.explore.state import Choice, Steps, control

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OWN = "own best"
WARM = STEPS.index(6)
"""The end of the warm-up: what is called the first steps here."""
TOP, MARGIN = 4.6, 0.1
"""Losses above are not drawn: the base stands at 4.45, and they are worse than no training."""


@dataclass(frozen=True)
class State:
    """The factor in front of BA, the learning rate, and the rank that is read off."""

    scale: str = control(PLAIN, Choice("s =", tuple(SCALES)))
    rate: float | str = control(4e-3, Steps("rate", (*RATES, OWN)))
    r: int = control(64, Steps("rank r", RANKS))


@dataclass(frozen=True)
class Result:
    """Validation losses, means of the seeds: `curves` a row a rank, a column a step; `ends` a column a rate.

    `rates` and `best` hold the rate drawn and the best rate of each rank; `start` is the base's loss.
    """

    ranks: tuple[int, ...]
    steps: tuple[int, ...]
    all_rates: tuple[float, ...]
    curves: np.ndarray
    ends: np.ndarray
    rates: tuple[float, ...]
    best: tuple[float, ...]
    start: float
    sentence: str


@dataclass(frozen=True)
class Losses:
    """Losses by scale, rank, rate, seed and step, and the base's."""

    losses: np.ndarray
    start: float

    def curves(self, scale: str) -> np.ndarray:
        """Return the mean over the seeds, by rank, rate and step."""
        return self.losses[tuple(SCALES).index(scale)].mean(2)

    def best(self, scale: str) -> list[int]:
        """Return the place in `RATES` of each rank's best rate, by the mean loss at the end."""
        return self.curves(scale)[:, :, -1].argmin(1).tolist()

    def first_gain(self, scale: str, rate: float) -> np.ndarray:
        """Return what each rank has gained over the base when the warm-up ends, mean over the seeds."""
        return self.start - self.curves(scale)[:, RATES.index(rate), WARM]


def gathered(runs: Sequence[RankRun]) -> Losses:
    """Return the runs as one array; at r = 1, where both scales are α, one run stands for both.

    Raises:
        KeyError: a seed lacks a run that another one has.
    """
    by_key = {run.key: run.curve for run in runs}
    seeds = sorted({run.seed for run in runs})

    def one(scale: str, r: int, rate: float, seed: int) -> tuple[float, ...]:
        return by_key[PLAIN if r == 1 else scale, r, rate, seed]

    losses = [[[[one(s, r, rate, seed) for seed in seeds] for rate in RATES] for r in RANKS] for s in SCALES]
    return Losses(np.array(losses), runs[0].start)


def rank_curves() -> Explorer:
    """Return the rank explorer, on the record that the book ships."""
    return explore_ranks(gathered(read()))


def explore_ranks(losses: Losses) -> Explorer:
    """Return the rank explorer of these losses."""
    return tabled_explorer("ranks", State(), partial(compute, losses=losses), still)


def compute(state: State, losses: Losses) -> Result:
    """Pick the curves of a scale at a rate, and read one rank off."""
    curves, best = losses.curves(state.scale), losses.best(state.scale)
    at = best if state.rate == OWN else [RATES.index(state.rate)] * len(RANKS)
    drawn = np.stack([curves[i, k] for i, k in enumerate(at)])
    i = RANKS.index(state.r)
    s, gain = SCALES[state.scale].build(ALPHA, state.r), losses.start - drawn[i]
    end = f"ends {abs(gain[-1]):.2f} nats {'below' if gain[-1] > 0 else 'above'} the base"
    sentence = (
        f"Rank {state.r} under {state.scale} (s = {s:.3g}) at rate {RATES[at[i]]:g}: {gain[WARM]:+.2f} nats gained "
        f"after {STEPS[WARM]} steps; it {end}. Its best rate is {RATES[best[i]]:g}."
    ).replace("-", "−")
    rates, own = (tuple(RATES[k] for k in places) for places in (at, best))
    return Result(RANKS, STEPS, RATES, drawn, curves[:, :, -1], rates, own, losses.start, sentence)


def still(state: State, result: Result) -> "Figure":
    """Draw both panels without a browser: the larger the rank, the thicker the line."""
    figure = style.figure(7.2, 3.4)
    figure.suptitle(result.sentence, color=style.NEUTRAL.text, fontsize=9, x=0.01, ha="left", wrap=True)
    left = style.axes(figure, "", "step (log scale)", "loss on unseen verses (nats per token)", (1, 2, 1))
    right = style.axes(figure, "", "learning rate (log scale)", "after 60 steps", (1, 2, 2))
    colour = style.variant("LoRA" if state.scale == PLAIN else "rsLoRA").light
    for i, r in enumerate(RANKS):
        look = {"color": colour, "linewidth": 0.8 + 0.5 * i, "alpha": 1 if r == state.r else 0.5, "label": f"rank {r}"}
        left.plot(STEPS, result.curves[i], **look)
        right.plot(RATES, result.ends[i], **look)
        right.plot(result.best[i], result.ends[i].min(), "o", color=colour, markersize=5)
    for axes in (left, right):
        axes.set_xscale("log")
        axes.axhline(result.start, color=style.NEUTRAL.text, linestyle=":", linewidth=1)
        axes.set_ylim(result.ends.min() - MARGIN, TOP)
    left.legend(frameon=False, labelcolor=style.NEUTRAL.text, fontsize=8)
    return figure
