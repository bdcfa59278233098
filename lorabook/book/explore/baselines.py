"""Baselines explorer: who learns most and forgets no more than you allow, and what each costs.

Full fine-tuning, LoRA, bottleneck adapters and prefixes out of the arena's record: loss on the Bible over what of
Austen is forgotten, a point for each rate; beside it one cost of the four at a time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lorabook.arena.baseline_curves import Curve, recorded
from lorabook.arena.tasks import KJV
from lorabook.book import style
from lorabook.book.explore.explorer import Explorer, tabled_explorer
from lorabook.book.explore.state import Choice, Steps, control

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EQUAL, PAPERS = "as LoRA's, r = 8", "their papers'"
BUDGETS = {EQUAL: "equal", PAPERS: "own"}
LIMITS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
COSTS: dict[str, tuple[Callable[[Curve], float], Callable[[float], str]]] = {
    "trained numbers": (lambda c: c.trained, lambda n: f"{n:,.0f}"),
    "optimiser's state": (lambda c: c.optimizer, lambda n: f"{n / 2**20:.2f} MiB"),
    "kept for backward": (lambda c: c.backward, lambda n: f"{n / 2**20:.1f} MiB"),
    "a training step": (lambda c: c.step, lambda ratio: f"{ratio:.2f} of LoRA's"),
    "a customer's file": (lambda c: c.file, lambda n: f"{n / 2**20:.2f} MiB"),
    "a token, merged if it can be": (lambda c: c.latency, lambda ratio: f"{ratio:.2f} of the base's"),
}
LOOKS = ("", "LoRA", "adapters", "prefix")
"""Whose stroke each of the four has; full fine-tuning is the reference."""


@dataclass(frozen=True)
class State:
    """How many nats Austen may lose, which size adapters and prefix have, and which cost is shown."""

    most: float = control(0.7, Steps("limit", LIMITS, "nats"))
    size: str = control(EQUAL, Choice("trained numbers", tuple(BUDGETS)))
    cost: str = control("trained numbers", Choice("cost", tuple(COSTS)))


@dataclass(frozen=True)
class Result:
    """The four: names, curves (a row forgotten, a row losses), the lowest point within the limit or None, the cost."""

    names: tuple[str, ...]
    curves: tuple[np.ndarray, ...]
    lowest: tuple[np.ndarray | None, ...]
    costs: np.ndarray
    told: tuple[str, ...]
    sentence: str


def baselines() -> Explorer:
    """Return the baselines explorer, on the record that the book ships."""
    return explore_baselines(recorded())


def explore_baselines(found: Mapping[tuple[str, str], Curve]) -> Explorer:
    """Return the baselines explorer of these curves."""
    return tabled_explorer("baselines", State(), partial(compute, found=found), still)


def four(size: str, found: Mapping[tuple[str, str], Curve]) -> list[Curve]:
    """Return full fine-tuning, LoRA, and bottleneck and prefix of a size."""
    budget = BUDGETS[size]
    return [
        found[place]
        for place in (("full fine-tuning", "own"), ("LoRA", "equal"), ("bottleneck", budget), ("prefix", budget))
    ]


def compute(state: State, found: Mapping[tuple[str, str], Curve]) -> Result:
    """Find the lowest loss of each within the limit, and read the cost."""
    chosen = four(state.size, found)
    lowest = [curve.lowest(state.most) for curve in chosen]
    count, tell = COSTS[state.cost]
    costs = [count(curve) for curve in chosen]
    reached = ", ".join(
        f"{curve.name} {point[0]:.2f}" for curve, point in zip(chosen, lowest, strict=True) if point is not None
    )
    out = [curve.name for curve, point in zip(chosen, lowest, strict=True) if point is None]
    sentence = f"Where Austen loses at most {state.most:g} nats, the Bible comes down to: {reached} nats per token."
    if out:
        sentence += f" {out[0].capitalize()} forgets more at every rate."
    return Result(
        tuple(curve.name for curve in chosen),
        tuple(np.stack([curve.forgotten, curve.losses])[:, : curve.best + 1] for curve in chosen),
        tuple(None if point is None else np.array(point[::-1]) for point in lowest),
        np.array(costs, float), tuple(map(tell, costs)), sentence,
    )  # fmt: skip


def still(state: State, result: Result) -> "Figure":
    """Draw the curves and the costs without a browser."""
    figure = style.figure(5.2, 5.4)
    style.sentence_above(figure, result.sentence)
    plot = style.axes(
        figure, "", "forgotten of Austen (nats per token)", f"loss on {KJV.name} (nats per token)", (2, 1, 1)
    )
    looks = [_look(name) for name in LOOKS]
    for name, (forgotten, losses), point, look in zip(result.names, result.curves, result.lowest, looks, strict=True):
        plot.plot(forgotten, losses, **look, markersize=5, label=name)
        if point is not None:
            plot.plot(*point, "o", color=style.NEUTRAL.text, fillstyle="none", markersize=9)
    plot.axvline(state.most, color=style.NEUTRAL.text, linestyle="--", linewidth=1)
    plot.legend(frameon=False, labelcolor=style.NEUTRAL.text, fontsize=8, loc="upper left", bbox_to_anchor=(0.06, 1))
    bars = style.axes(figure, state.cost, "", "", (2, 1, 2))
    places = range(len(result.costs))[::-1]
    bars.barh(places, result.costs, color=[look["color"] for look in looks])
    for y, cost, told in zip(places, result.costs, result.told, strict=True):
        bars.annotate(told, (cost, y), xytext=(3, -3), textcoords="offset points", color=style.NEUTRAL.text, fontsize=8)
    bars.set_yticks(list(places), result.names)
    bars.set_xlim(0, 1.5 * max(result.costs))
    bars.set_xticks([])
    return figure


def _look(name: str) -> dict[str, str]:
    if not name:
        return {"color": style.NEUTRAL.text, "linestyle": ":", "marker": "*"}
    stroke = style.variant(name)
    dash, marker = style.MATPLOTLIB_DASH[stroke.dash], style.MATPLOTLIB_MARKER[stroke.marker]
    return {"color": stroke.light, "linestyle": dash, "marker": marker}
