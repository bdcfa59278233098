"""The training losses of contenders minus LoRA's on the same batches, step by step, out of the arena's record."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill

import numpy as np

from lorabook.arena.experiment import at
from lorabook.arena.job import Row
from lorabook.arena.methods import BASELINE
from lorabook.arena.plan import Place, grouped
from lorabook.arena.run import EVERY
from lorabook.arena.summary import reported
from lorabook.arena.task import Task
from lorabook.arena.tasks import KJV
from lorabook.book import style
from lorabook.book.figures.picture import Picture

TEXT = style.NEUTRAL.text
WIDTH, LETTERS = 5.2, 66
T_95 = {5: 2.776, 10: 2.262}
"""Student's t, two-sided 95%, by the number of seeds."""


@dataclass(frozen=True)
class Ahead:
    """Loss minus LoRA's: a row for each seed, a column for each recorded number of `steps` made; negative is ahead."""

    steps: tuple[int, ...]
    apart: np.ndarray

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


def ahead(rows: Sequence[Row], place: Place | str, task: Task = KJV) -> Ahead:
    """Return a contender against LoRA, each at its tuned rate, seed by seed.

    Raises:
        ValueError: the record has no reported row of one of them.
    """
    groups = grouped(rows)
    of, lora = place if isinstance(place, Place) else at(place, task.name), at(BASELINE, task.name)
    curves = {each: {row.seed: row.curve for row in reported(groups[each])} for each in (of, lora)}
    seeds = sorted(curves[of].keys() & curves[lora].keys())
    if not seeds:
        raise ValueError(f"the record has no reported row of {of.method} and {BASELINE} on {task.name} with one seed")
    apart = np.array([np.subtract(curves[of][seed], curves[lora][seed]) for seed in seeds])
    return Ahead((*range(0, task.steps - 1, EVERY), task.steps - 1), apart)


def against_lora(lines: Mapping[str, Ahead], sentence: str) -> Picture:
    """Draw them over the steps, with the band of the mean; LoRA is the line at zero."""
    figure = style.figure(WIDTH, 3.3)
    figure.suptitle(fill(sentence, LETTERS), color=TEXT, fontsize=10, x=0.01, ha="left")
    axes = style.axes(figure, "", "steps made", "training loss minus LoRA's (nats)")
    axes.axhline(0, color=style.variant(BASELINE).light, linewidth=1.8, label=BASELINE)
    for place, (name, line) in enumerate(lines.items()):
        known = name in style.VARIANTS
        stroke = style.variant(name) if known else style.series(place + 7)
        colour = stroke.light if known or name != "full fine-tuning" else TEXT
        dash = ":" if name == "full fine-tuning" else style.MATPLOTLIB_DASH[stroke.dash]
        marker = style.MATPLOTLIB_MARKER[stroke.marker] if name != "full fine-tuning" else "."
        axes.plot(line.steps, line.mean, linestyle=dash, marker=marker, markersize=4, color=colour, label=name)
        axes.fill_between(line.steps, line.mean - line.half, line.mean + line.half, color=colour, alpha=0.15, linewidth=0)
    axes.legend(frameon=False, labelcolor=TEXT, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4)
    return Picture(sentence, figure)
