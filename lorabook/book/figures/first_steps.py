"""The training losses of contenders minus LoRA's on the same batches, step by step, out of the arena's record.

lines = recorded("PiSSA", "full fine-tuning")
against_lora(lines, "PiSSA is ahead for a dozen steps.")
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from lorabook.arena.experiment import FULL, at
from lorabook.arena.job import Row
from lorabook.arena.methods import BASELINE
from lorabook.arena.plan import Place, grouped, tuned
from lorabook.arena.record import Record
from lorabook.arena.run import EVERY
from lorabook.arena.start_runs import NAME, PLACE, starts
from lorabook.arena.summary import reported
from lorabook.arena.task import Task
from lorabook.arena.tasks import KJV
from lorabook.book import style
from lorabook.book.figures.picture import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TEXT = style.NEUTRAL.text
WIDTH, LETTERS = 5.2, 66
LEADING = 0.055  # of the height of the picture, from one name to the next
T_95 = {5: 2.776, 10: 2.262}
"""Student's t, two-sided 95%, by the number of seeds."""


@dataclass(frozen=True)
class Ahead:
    """Loss minus LoRA's: a row for each seed, a column for each recorded number of `steps` made; negative is ahead.

    scores, forgotten: the end of each seed, as in the record; `rates` has the mean end of the tuning seeds by rate.
    """

    steps: tuple[int, ...]
    apart: np.ndarray
    scores: np.ndarray
    forgotten: np.ndarray
    rates: dict[float, float]

    @property
    def mean(self) -> np.ndarray:
        return self.apart.mean(0)

    @property
    def half(self) -> np.ndarray:
        """Half the 95% interval of the mean over seeds."""
        seeds = len(self.apart)
        return T_95[seeds] * self.apart.std(0, ddof=1) / math.sqrt(seeds)

    def after(self, steps: int) -> np.ndarray:
        """Return every seed's difference after so many steps."""
        return self.apart[:, self.steps.index(steps)]


def recorded(*names: str) -> dict[str, Ahead]:
    """Return contenders on the Bible against LoRA; "random directions" is one of `start_runs`."""
    rows = Record().rows() + starts().rows()
    return {name: ahead(rows, PLACE if name == NAME else at(name, KJV.name)) for name in names}


def ahead(rows: Sequence[Row], place: Place, task: Task = KJV) -> Ahead:
    """Return a contender against LoRA, each at its tuned rate, seed by seed.

    Raises:
        ValueError: the record has no reported row of one of them.
    """
    groups = grouped(rows)
    mine, lora = ({row.seed: row for row in reported(groups[each])} for each in (place, at(BASELINE, task.name)))
    seeds = sorted(mine.keys() & lora.keys())
    if not seeds:
        raise ValueError(
            f"the record has no reported row of {place.method} and {BASELINE} on {task.name} with one seed"
        )
    return Ahead(
        (*range(0, task.steps - 1, EVERY), task.steps - 1),
        np.array([np.subtract(mine[seed].curve, lora[seed].curve) for seed in seeds]),
        np.array([mine[seed].score for seed in seeds]),
        np.array([mine[seed].forgotten for seed in seeds]),
        tuned(groups[place]),
    )


def against_lora(lines: Mapping[str, Ahead], sentence: str) -> Picture:
    """Draw them over the steps, with the band of the mean; LoRA is the line at zero."""
    figure = style.figure(WIDTH, 3.3)
    figure.suptitle(fill(sentence, LETTERS), color=TEXT, fontsize=10, x=0.01, ha="left")
    axes = style.axes(figure, "", "steps made", "training loss minus LoRA's (nats)")
    end = max(line.steps[-1] for line in lines.values())
    axes.plot([0, end], [0, 0], color=style.variant(BASELINE).light, linewidth=1.8)
    for name, line in lines.items():
        colour, dash, marker = _look(name)
        axes.plot(line.steps, line.mean, linestyle=dash, marker=marker, markersize=4, color=colour)
        axes.fill_between(
            line.steps, line.mean - line.half, line.mean + line.half, color=colour, alpha=0.15, linewidth=0
        )
    _named(axes, {BASELINE: 0.0} | {name: line.mean[-1] for name, line in lines.items()}, end)
    return Picture(sentence, figure)


def _named(axes: "Axes", ends: Mapping[str, float], at: int) -> None:
    """Write each name outside the picture at the end of its line, so far apart that none lies on another."""
    low, high = axes.get_ylim()
    place = -math.inf
    for name in sorted(ends, key=ends.__getitem__):
        place = max(ends[name], place + (high - low) * LEADING)
        axes.plot([at, at + 3], [ends[name], place], color=_look(name)[0], linewidth=1.2, clip_on=False)
        axes.text(at + 3.5, place, name, color=TEXT, fontsize=8, va="center")
    axes.set_xlim(-2, at + 1)
    axes.set_ylim(low, high)


def _look(name: str) -> tuple[str, object, str]:
    """Return colour, dash and marker: a variant's own, the reference's dots, or what stands for no variant."""
    if name == FULL:
        return TEXT, ":", "."
    stroke = style.variant(name) if name in style.VARIANTS else style.series(1)
    return stroke.light, style.MATPLOTLIB_DASH[stroke.dash], style.MATPLOTLIB_MARKER[stroke.marker]
