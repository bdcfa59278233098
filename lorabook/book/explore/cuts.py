"""Cut explorer: the loss at every rank that you may serve, from one training of DyLoRA, from one of LoRA, from many.

Recorded trainings on the Bible. The two of rank 8 are cut in a way that the reader chooses; LoRA trained at the rank
itself stands beside them where somebody has trained it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lorabook.arena.cut_runs import DYLORA, FROZEN, PLAIN, REPORT_SEEDS, SIDES, CutRun, R, read, tuned
from lorabook.arena.cuts import CUTS, NESTED, ROWS
from lorabook.book import style
from lorabook.book.explore.explorer import Explorer, tabled_explorer
from lorabook.book.explore.state import Choice, Steps, control

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RANKS = tuple(range(1, R + 1))
TRAINED = tuple(sorted(side.r for name, side in SIDES.items() if name not in (DYLORA, FROZEN)))
"""The ranks at which LoRA was trained for that rank alone."""
TOP = 4.75
"""Losses above are not drawn: the base stands at 4.45."""


@dataclass(frozen=True)
class State:
    """The rank to serve, how the two adapters of rank 8 are cut to it, and which of DyLoRA's forms was trained."""

    b: int = control(8, Steps("rank to serve", RANKS))
    dylora: str = control(NESTED, Choice("cut DyLoRA by", tuple(CUTS)))
    lora: str = control(ROWS, Choice("cut LoRA by", tuple(CUTS)))
    form: str = control(DYLORA, Choice("one training with", (DYLORA, FROZEN)))


@dataclass(frozen=True)
class Result:
    """Validation losses, rows mean, least and most of the seeds, a column a rank: `own` where LoRA was trained so."""

    ranks: tuple[int, ...]
    trained: tuple[int, ...]
    dylora: np.ndarray
    lora: np.ndarray
    own: np.ndarray
    start: float
    sentence: str


@dataclass(frozen=True)
class Losses:
    """By side and cut the losses of the report seeds at its tuned rate, a row a seed, a column a rank."""

    scores: dict[str, dict[str, np.ndarray]]
    rates: dict[str, float]
    start: float

    def own(self) -> np.ndarray:
        """Return the losses of LoRA trained at each of `TRAINED`, a row a seed."""
        return np.stack([self._own(r) for r in TRAINED], axis=1)

    def _own(self, r: int) -> np.ndarray:
        (name,) = (name for name, side in SIDES.items() if side.r == r and name not in (DYLORA, FROZEN))
        return self.scores[name][SIDES[name].tuned_for][:, -1]


def gathered(runs: Sequence[CutRun]) -> Losses:
    """Return what was measured on the report seeds.

    Raises:
        ValueError: a side's rates have not all been tried, or a report seed is missing.
    """
    scores, rates = {}, {}
    for name in SIDES:
        at = [run for run in runs if run.side == name and run.seed in REPORT_SEEDS and run.lr == tuned(runs, name)]
        if sorted(run.seed for run in at) != sorted(REPORT_SEEDS):
            raise ValueError(f"{name}: the record has the seeds {[run.seed for run in at]}, not {list(REPORT_SEEDS)}")
        scores[name] = {kind: np.array([run.scores[kind] for run in at]) for kind in at[0].scores}
        rates[name] = at[0].lr
    return Losses(scores, rates, runs[0].start)


def cut_curves() -> Explorer:
    """Return the cut explorer, on the record that the book ships."""
    return explore_cuts(gathered(read()))


def explore_cuts(losses: Losses) -> Explorer:
    """Return the cut explorer of these losses."""
    return tabled_explorer("cuts", State(), partial(compute, losses=losses), still)


def compute(state: State, losses: Losses) -> Result:
    """Return the three curves, and read them off at the rank to serve."""
    dylora, lora, own = (
        np.stack([x.mean(0), x.min(0), x.max(0)])
        for x in (losses.scores[state.form][state.dylora], losses.scores[PLAIN][state.lora], losses.own())
    )
    at = state.b - 1
    beside = f"No LoRA was trained at rank {state.b}."
    if state.b in TRAINED:
        beside = f"LoRA trained at rank {state.b}: {own[0, TRAINED.index(state.b)]:.2f}."
    sentence = (
        f"Served at rank {state.b}: {state.form} cut by {state.dylora}: {dylora[0, at]:.2f} nats per token. LoRA cut "
        f"by {state.lora}: {lora[0, at]:.2f}. {beside}"
    )
    return Result(RANKS, TRAINED, dylora, lora, own, losses.start, sentence)


def still(state: State, result: Result) -> "Figure":
    """Draw the three curves with the spread of their seeds, without a browser."""
    figure = style.figure(5.2, 3.4)
    figure.suptitle(result.sentence, color=style.NEUTRAL.text, fontsize=9, x=0.01, ha="left", wrap=True)
    axes = style.axes(figure, "", "rank that is served", "loss on unseen verses (nats per token)")
    for name, label, values in (("DyLoRA", state.form, result.dylora), ("LoRA", "LoRA, cut", result.lora)):
        look = style.variant(name)
        dash, marker = style.MATPLOTLIB_DASH[look.dash], style.MATPLOTLIB_MARKER[look.marker]
        axes.plot(RANKS, values[0], color=look.light, linestyle=dash, marker=marker, markersize=5, label=label)
        axes.fill_between(RANKS, values[1], values[2], color=look.light, alpha=0.16, linewidth=0)
    grey = style.NEUTRAL.text
    axes.plot(TRAINED, result.own[0], color=grey, linestyle=":", marker="*", label="LoRA trained at the rank")
    axes.axhline(result.start, color=grey, linewidth=0.8)
    axes.annotate("no adapter", (RANKS[-1], result.start), xytext=(0, 3), textcoords="offset points", color=grey,
                  fontsize=8, ha="right")  # fmt: skip
    axes.axvline(state.b, color=grey, linewidth=0.6)
    axes.set_ylim(result.own.min() - 0.05, TOP)
    axes.legend(frameon=False, labelcolor=grey, fontsize=8)
    return figure
