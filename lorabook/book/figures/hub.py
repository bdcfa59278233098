"""Chapter 23's tables and picture: what to do with twenty adapters and ten examples; three adapters in one model."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lorabook.arena import hub_record, hub_ways
from lorabook.arena.hub_bank import LOOKS, R
from lorabook.arena.hub_merges import ALONE, CAT, DARE, SEEDS, TIES, WAYS, WEIGHTS, Merged
from lorabook.arena.hub_surface import THREE
from lorabook.arena.hub_texts import BANK, NEW
from lorabook.book import style
from lorabook.book.figures.picture import Picture
from lorabook.book.shown import Shown, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (5.2, 3.8)
"""Inches."""
SAID = {
    hub_ways.MEAN: "mean of all twenty, 1/20 of each ΔW",
    hub_ways.FILES: "mean of all twenty files, A and B apart",
    hub_ways.CHOSEN: "the best single one, by ten examples",
    hub_ways.HUB: "LoRAHub, 40 tries on ten examples",
    hub_ways.HUB_SUM: "40 tries over Σ wᵢBᵢAᵢ",
    hub_ways.FEW: "LoRAHub, 40 tries over the best three",
    hub_ways.FEW_SUM: "40 tries over the best three, Σ wᵢBᵢAᵢ",
    hub_ways.TRAINED: "a new LoRA, trained on the ten",
    hub_ways.GONE_ON: "the best single one, trained on with the ten",
}
"""The ways as a row of the table says them, in its order."""
RANKS = {CAT: f"{len(THREE) * R}", TIES: "full", DARE: "full"}
"""Of what comes out; all others have the adapters' own."""


def twenty(rows: Sequence[hub_record.Row]) -> Shown:
    """Return a table of every way: nats per token on each new text, mean over the seeds ± half of what they span."""
    base = [_alone(rows, text)[-1] for text in NEW]
    lines = [(said, *(_over(hub_record.losses(rows, text, way)) for text in NEW)) for way, said in SAID.items()]
    return table(("", *NEW), [("the base alone", *(f"{loss:.2f}" for loss in base)), *lines])


def singles(rows: Sequence[hub_record.Row], text: str) -> list[tuple[str, float]]:
    """Return each adapter alone and its loss on a new text, the best first."""
    return sorted(zip(BANK, _alone(rows, text)[:-1], strict=True), key=lambda item: item[1])


def rates(rows: Sequence[hub_record.Row]) -> Shown:
    """Return a table of the rates and steps that are best on the tuning seed."""
    found = {way: [hub_record.tuned(rows, text, way) for text in NEW] for way in hub_record.TUNED}
    return table(
        ("rate · steps", *NEW),
        [(SAID[way], *(f"{lr:g} · {LOOKS[look]}" for lr, look in some)) for way, some in found.items()],
    )


def _alone(rows: Iterable[hub_record.Row], text: str) -> tuple[float, ...]:
    return next(row.outcome.losses for row in rows if (row.text, row.way) == (text, hub_ways.ALONE))


def of_way(rows: Iterable[Merged], way: str, weight: float) -> np.ndarray:
    """Return the losses of a way at a weight: a row a seed, a column a text."""
    found = {row.seed: row.losses for row in rows if (row.way, row.weight) == (way, weight)}
    return np.array([found[seed] for seed in SEEDS])


def best_weight(rows: Sequence[Merged], way: str) -> float:
    """Return the weight with the least mean loss over seeds and texts."""
    return min(WEIGHTS, key=lambda weight: of_way(rows, way, weight).mean())


def side_by_side(rows: Sequence[Merged]) -> Shown:
    """Return a table of every way to merge at its best weight, and of the adapters alone and the base."""
    alone = [("the base", "", "", of_way(rows, ALONE, 0.0)), ("each on its own text", R, "1", of_way(rows, ALONE, 1.0))]
    merged = [
        (way, RANKS.get(way, R), f"{best_weight(rows, way):g}", of_way(rows, way, best_weight(rows, way)))
        for way in WAYS
    ]
    cells = [
        (*head, *(_over(column) for column in losses.T), _over(losses.mean(1))) for *head, losses in alone + merged
    ]
    return table(("", "rank", "weight of each", *THREE, "mean of three"), cells)


def at_every_weight(rows: Sequence[Merged]) -> Picture:
    """Draw the mean loss of the three texts over the weight that each adapter gets: a line is a way to merge."""
    sentence = "Three adapters in one model: each way to merge them has a best weight of its own"
    figure = style.figure(*SIZE)
    axes = style.axes(figure, sentence, "weight of each adapter", "loss, mean of their three texts (nats per token)")
    for place, way in enumerate(WAYS):
        _line(axes, place, way, [of_way(rows, way, weight).mean() for weight in WEIGHTS])
    for weight, said in ((0.0, "the base"), (1.0, "each alone on its own text")):
        level = of_way(rows, ALONE, weight).mean()
        axes.axhline(level, color=style.NEUTRAL.text, linestyle=":", linewidth=1)
        axes.text(WEIGHTS[0], level, said, color=style.NEUTRAL.text, fontsize=8, va="bottom")
    axes.set_ylim(of_way(rows, ALONE, 1.0).mean() - 0.2, of_way(rows, ALONE, 0.0).mean() + 1.7)
    axes.legend(frameon=False, labelcolor=style.NEUTRAL.text, fontsize=8, loc="upper left")
    return Picture(sentence, figure)


def _line(axes: "Axes", place: int, way: str, losses: Sequence[float]) -> None:
    stroke = style.series(place)
    axes.plot(
        WEIGHTS, losses, label=way, color=stroke.light, linewidth=1.5, markersize=5,
        linestyle=style.MATPLOTLIB_DASH[stroke.dash], marker=style.MATPLOTLIB_MARKER[stroke.marker],
    )  # fmt: skip


def _over(values: Sequence[float] | np.ndarray) -> str:
    mean = f"{float(np.mean(values)):.2f}"
    return mean if len(values) == 1 else f"{mean} ±{float(np.ptp(values)) / 2:.2f}"
