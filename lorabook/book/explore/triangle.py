"""Weight explorer: three adapters, a triangle of their shares, the loss on two texts that none of them has seen.

A corner is one adapter alone, a side two of them. Over it lies a recorded search of LoRAHub, free to leave the
triangle: a try stands where its |w| would, and is open where its weights have both signs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lorabook.arena.hub_surface import PARTS, POINTS, PRODUCT, TESTS, THREE, TOTALS, WAYS, Surface, recorded
from lorabook.book import style
from lorabook.book.explore.explorer import Explorer, tabled_explorer
from lorabook.book.explore.state import Choice, Steps, control

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHARES = tuple(range(0, 100 + 1, 100 // PARTS))
CORNERS = tuple(POINTS.index(tuple(PARTS * (i == corner) for i in range(3))) for corner in range(3))
SHADES = 8


@dataclass(frozen=True)
class State:
    """How the three become one, what their weights add up to, and the shares of two; the third has the rest."""

    way: str = control(PRODUCT, Choice("ΔW is the", tuple(WAYS)))
    total: float = control(1.0, Steps("w₁ + w₂ + w₃", TOTALS))
    bible: int = control(40, Steps(f"w₁, {THREE[0]}", SHARES, "%"))
    capitals: int = control(30, Steps(f"w₂, {THREE[1]}", SHARES, "%"))


@dataclass(frozen=True)
class Result:
    """By text (row) the loss at each point of the triangle (column); places in `POINTS`: `here`, `best`, `corners`.

    tries: by text and try, shares of the three and 1 where a weight is of the other sign. improved: by text the places
    among them of those that were better than all before, the last of which is the answer; found: its loss on the text.
    """

    adapters: tuple[str, ...]
    texts: tuple[str, ...]
    points: np.ndarray
    losses: np.ndarray
    here: int
    best: tuple[int, ...]
    corners: tuple[int, ...]
    base: np.ndarray
    tries: np.ndarray
    improved: tuple[tuple[int, ...], ...]
    found: np.ndarray
    weights: tuple[float, ...]
    sentence: str


def triangle() -> Explorer:
    """Return the weight explorer, on the record that the book ships."""
    return explore_surfaces(recorded())


def explore_surfaces(rows: Sequence[Surface]) -> Explorer:
    """Return the weight explorer of these surfaces."""
    return tabled_explorer("triangle", State(), partial(compute, found={row.key: row for row in rows}), still)


def compute(state: State, found: Mapping[tuple[str, str], Surface]) -> Result:
    """Read the losses off: more than all cannot be shared, so CAPITALS get what the Bible leaves."""
    rows = [found[text, state.way] for text in TESTS]
    bible = state.bible * PARTS // 100
    capitals = min(state.capitals * PARTS // 100, PARTS - bible)
    here = POINTS.index((bible, capitals, PARTS - bible - capitals))
    losses = np.array([row.losses[TOTALS.index(state.total)] for row in rows])
    weights = tuple(round(state.total * part / PARTS, 2) for part in POINTS[here])
    said = "; ".join(_said(row, loss[here]) for row, loss in zip(rows, losses, strict=True))
    mixed = "Weights " + ", ".join(f"{name} {w:g}" for name, w in zip(THREE, weights, strict=True))
    return Result(
        THREE, TESTS, np.array(POINTS, np.uint8), losses, here, tuple(int(loss.argmin()) for loss in losses), CORNERS,
        np.array([row.base for row in rows]), np.array([_tries(row) for row in rows]),
        tuple(_improved(row) for row in rows), np.array([row.found for row in rows]), weights,
        f"{mixed}; {state.way}: {said}.",
    )  # fmt: skip


def alone(row: Surface) -> float:
    """Return the loss of the best adapter alone, at the weight 1."""
    return min(row.losses[TOTALS.index(1.0)][corner] for corner in CORNERS)


def _said(row: Surface, loss: float) -> str:
    return f"{row.text} {loss:.2f} nats (best one alone {alone(row):.2f})"


def _tries(row: Surface) -> np.ndarray:
    """Return |w|/Σ|w| of each try but the first, which is w = 0, and whether signs differ."""
    w = np.array(row.path)[1:]
    shares = np.abs(w) / np.abs(w).sum(1, keepdims=True)
    positive = w.sum(1) > 0 if row.way == PRODUCT else np.ones(len(w), bool)  # there w and −w are one adapter
    against = np.where(positive, (w < 0).T, (w > 0).T).T & (shares > 0.5 / PARTS)
    return np.concatenate([shares, against.any(1, keepdims=True)], axis=1)


def _improved(row: Surface) -> tuple[int, ...]:
    seen = np.minimum.accumulate(row.objectives)
    return tuple(int(i) - 1 for i in np.flatnonzero(np.diff(seen) < 0) + 1)


def still(state: State, result: Result) -> "Figure":
    """Draw both triangles without a browser."""
    figure = style.figure(5.2, 3.4)
    style.sentence_above(figure, result.sentence)
    for k, text in enumerate(result.texts):
        _panel(style.axes(figure, "", "", "", (1, 2, k + 1)), result, k, text)
    return figure


def _panel(axes: "Axes", result: Result, k: int, text: str) -> None:
    x, y = _places(result.points / PARTS)
    axes.set_axis_off()
    axes.set_aspect("equal")
    axes.set_xlim(-0.15, 1.15)
    axes.set_ylim(-0.22, 1.2)
    axes.text(-0.12, 1.12, f"loss on {text}", color=style.NEUTRAL.text, fontsize=10)
    axes.scatter(x, y, c=_shades(result.losses[k]), marker="h", s=190)
    axes.scatter(*_places(result.tries[k, :, :3]), s=9, color=style.FALSE.light)
    axes.plot(x[result.here], y[result.here], "o", color="black", fillstyle="none", markersize=10)
    axes.plot(x[result.best[k]], y[result.best[k]], "*", color="black", markersize=10)
    for corner, name, dy in zip(result.corners, result.adapters, (-0.14, -0.14, 0.1), strict=True):
        axes.text(x[corner], y[corner] + dy, name, ha="center", color=style.NEUTRAL.text, fontsize=9)


def _shades(losses: np.ndarray) -> np.ndarray:
    """Return a colour for each loss, stronger where it is lower: few of them, as a small picture keeps few."""
    from matplotlib.colors import to_rgb

    strong, weak = np.array(to_rgb(style.variant("S-LoRA").light)), np.array(to_rgb(style.NEUTRAL.grid))
    share = (losses - losses.min()) / max(np.ptp(losses), 1e-9)
    return strong + (weak - strong) * np.round(SHADES * share)[:, None] / SHADES


def _places(shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where shares stand: the Bible left, CAPITALS right, no spaces above."""
    return shares[:, 1] + shares[:, 2] / 2, shares[:, 2] * 3**0.5 / 2
