"""Chapter 22's tables and picture: what a model knows after each of three texts, and at which rate."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabook.arena.turns import BASE, TASKS, WAYS, Run, scores
from lorabook.arena.turns_record import TUNING_SEED, Row, at_the_end, forgotten, learned, reported
from lorabook.book import style
from lorabook.book.figures.picture import Picture
from lorabook.book.shown import Shown, table
from lorabook.models.generate import generate
from lorabook.models.loaded import Loaded

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (5.2, 3.8)
"""Inches."""


PROMPT = "MR. DARCY "


@dataclass(frozen=True)
class Moment:
    """What a model knows: nats per token of each text, the base's own first, and how it goes on from `PROMPT`."""

    after: str
    losses: tuple[float, ...]
    writes: str


def moment(after: str, base: Loaded) -> Moment:
    """Look at a model."""
    return Moment(
        after, tuple(scores(base.model)), generate(base, PROMPT, 16, temperature=0)[len(PROMPT) :].replace("\n", " ")
    )


def moments(seen: Iterable[Moment]) -> Shown:
    """Return a table of moments."""
    rows = [(one.after, *(f"{loss:.2f}" for loss in one.losses), one.writes) for one in seen]
    return table(("after", BASE, *TASKS, f"goes on from “{PROMPT.strip()}”"), rows)


def lost(run: Run) -> float:
    """Return what the tasks but the last lose until the end, in nats per token, on average."""
    found = forgotten(run)
    return sum(found) / len(found)


COLUMNS: dict[str, Callable[[Run], float]] = {"learned": learned, "forgotten": lost, "at the end": at_the_end}


def best_rates(rows: Iterable[Row]) -> Shown:
    """Return a table of every way and rank at its best rate: the mean over the seeds, ± half of what they span."""
    cells = [
        (r, way, f"{some[0].lr:g}", *(_over([measure(row.run) for row in some]) for measure in COLUMNS.values()))
        for (way, r), some in sorted(
            reported(rows).items(), key=lambda item: (-item[0][1], list(WAYS).index(item[0][0]))
        )
    ]
    return table(("rank", "the next task gets", "rate", *COLUMNS), cells)


def _over(values: Sequence[float]) -> str:
    return f"{sum(values) / len(values):.2f} ±{(max(values) - min(values)) / 2:.2f}"


def at_every_rate(rows: Iterable[Row], r: int) -> Picture:
    """Draw what is forgotten against what was learned: a line is a way, a point a rate of the search, one seed."""
    sentence = (
        f"Rank {r}: what is forgotten, against what was learned. A line joins the rates of one way, each twice the last"
    )
    figure = style.figure(*SIZE)
    axes = style.axes(
        figure, sentence, "loss of a task right after it was learned, mean of three (nats per token)",
        "rise until the end, mean of two (nats)",
    )  # fmt: skip
    tried = [row for row in rows if row.r == r and row.seed == TUNING_SEED]
    for place, way in enumerate(WAYS):
        if some := sorted((row for row in tried if row.way == way), key=lambda row: row.lr):
            _line(axes, place, way, [row.run for row in some])
    axes.legend(frameon=False, labelcolor=style.NEUTRAL.text, fontsize=8)
    return Picture(sentence, figure)


def _line(axes: "Axes", place: int, way: str, runs: Sequence[Run]) -> None:
    stroke = style.series(place)
    axes.plot(
        [learned(run) for run in runs], [lost(run) for run in runs], label=way, color=stroke.light, linewidth=1.5,
        markersize=5, linestyle=style.MATPLOTLIB_DASH[stroke.dash], marker=style.MATPLOTLIB_MARKER[stroke.marker],
    )  # fmt: skip
