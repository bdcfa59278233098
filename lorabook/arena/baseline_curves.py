"""Full fine-tuning, LoRA, bottlenecks and prefixes on the Bible: learnt against forgotten over the rates, and costs."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lorabook.arena import baseline_runs, latency_runs
from lorabook.arena.baseline_runs import BaselineRun
from lorabook.arena.experiment import FULL
from lorabook.arena.job import Row
from lorabook.arena.latency_runs import Latency
from lorabook.arena.methods import BASELINE
from lorabook.arena.plan import Place, best_rate, grouped
from lorabook.arena.record import Record
from lorabook.arena.summary import summaries
from lorabook.arena.tasks import KJV

PLACES = {
    (FULL, "own"): "full fine-tuning",
    (BASELINE, "equal"): "LoRA (r = 8)",
    ("bottleneck", "equal"): "bottleneck (m = 35)",
    ("bottleneck", "own"): "bottleneck (m = 64)",
    ("prefix", "equal"): "prefix (n = 212)",
    ("prefix", "own"): "prefix (n = 10)",
}
BYTES = 4
"""Of a number in a file."""


@dataclass(frozen=True)
class Curve:
    """A contender: by growing rate the loss on the Bible and what of Austen is forgotten, means over seeds; its costs.

    best: the place of the tuned rate. The first point is the untrained model, at rate 0. latency: processor time of one
    token's forward pass over the base's, 1 where everything is merged; backward and optimizer in bytes.
    """

    name: str
    rates: tuple[float, ...]
    losses: np.ndarray
    forgotten: np.ndarray
    best: int
    trained: int
    backward: int
    optimizer: int
    step: float
    latency: float

    @property
    def file(self) -> int:
        """Bytes of a customer's file."""
        return BYTES * self.trained

    def lowest(self, most: float) -> tuple[float, float] | None:
        """Return (loss, forgotten) where the loss is lowest and at most `most` is forgotten, None where it never is.

        Between two rates both are interpolated.
        """
        points = list(zip(self.losses, self.forgotten, strict=True))[: self.best + 1]
        found = [point for point in points if point[1] <= most]
        for (loss, before), (lower, after) in zip(points, points[1:], strict=False):
            if before <= most < after:
                share = (most - before) / (after - before)
                found.append((loss + share * (lower - loss), most))
        return min(found, default=None)

    def forgotten_at(self, loss: float) -> float:
        """Return what is forgotten at the rate, interpolated, where this loss is reached.

        Raises:
            ValueError: no rate reaches it.
        """
        ways = zip(self.losses, self.losses[1:], self.forgotten, self.forgotten[1:], strict=False)
        for high, low, before, after in list(ways)[: self.best]:
            if low <= loss <= high:
                return before + (after - before) * (high - loss) / (high - low)
        raise ValueError(
            f"{self.name} has no rates around a loss of {loss:.3f}; its best is {self.losses[self.best]:.3f}"
        )


def recorded() -> dict[tuple[str, str], Curve]:
    """Return what the book ships."""
    return curves(Record().rows(), baseline_runs.read(), latency_runs.read())


def curves(
    rows: Sequence[Row], more: Sequence[BaselineRun], latency: Mapping[tuple[str, str], Latency]
) -> dict[tuple[str, str], Curve]:
    """Return the curve of every place.

    Raises:
        ValueError: a place has no tuned rate in the rows.
    """
    found = {}
    groups, tuned = grouped(rows), {each.place: each for each in summaries(rows)}
    of_lora = tuned[Place(BASELINE, KJV.name, "equal")].step_ratio
    for (method, budget), name in PLACES.items():
        place = Place(method, KJV.name, budget)
        if place not in tuned:
            raise ValueError(f"the arena's record has no tuned rate of {method} on {KJV.name}, {budget} budget")
        points: dict[float, list[tuple[float, float]]] = {}
        for row in groups[place].values():
            if row.score is not None:
                points.setdefault(row.lr, []).append((row.score, row.forgotten))
        for run in more:
            if (run.method, run.budget) == (method, budget):
                points.setdefault(run.lr, []).append((run.score, run.forgotten))
        points.setdefault(0.0, [(tuned[place].start, 0.0)])
        rates, one = tuple(sorted(points)), tuned[place]
        means = np.array([[statistics.fmean(each) for each in zip(*points[lr], strict=True)] for lr in rates])
        slower = latency[method, budget].ratio if method in ("bottleneck", "prefix") else 1.0
        found[method, budget] = Curve(
            name, rates, means[:, 0], means[:, 1], rates.index(best_rate(groups[place])), one.trained,
            one.backward_bytes, one.optimizer_bytes, one.step_ratio / of_lora, slower,
        )  # fmt: skip
    return found
