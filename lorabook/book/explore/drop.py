"""Drop explorer: what each layer's adapter does after a brief training, who keeps it at a threshold, and the loss.

Recorded trainings on the Bible. The loss stands over the trained numbers: LoRA-drop, other choices of as many numbers,
and LoRA on every layer at a smaller rank.
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lorabook.arena.drop_losses import LORA_RANKS, STOPS, Recorded, recorded
from lorabook.arena.drop_runs import REPORT_SEEDS, DropRun
from lorabook.arena.drop_ways import ALONE, EFFECT, SIZE, WAYS
from lorabook.arena.where_runs import MATRICES
from lorabook.book import style
from lorabook.book.explore.explorer import Explorer, tabled_explorer
from lorabook.book.explore.state import Choice, Steps, control
from lorabook.cost.count import lora_parameters
from lorabook.models.decoder import DecoderConfig

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHAPE = DecoderConfig()
LAYERS = MATRICES * SHAPE.layers
OWN, SHARES, NONE = 2, 1, 0
LOOKS = {EFFECT: "LoRA-drop", SIZE: "rsLoRA", ALONE: "DoRA"}
"""Whose colour a way has; chance is grey."""


@dataclass(frozen=True)
class State:
    """The share that the kept layers reach together, by what they are chosen, and the seed of the training."""

    t: float = control(0.9, Steps("threshold T", STOPS))
    way: str = control(EFFECT, Choice("who keeps", WAYS))
    seed: int = control(0, Steps("seed", REPORT_SEEDS))


@dataclass(frozen=True)
class Result:
    """Each layer's share of the effect or of the size, whether it keeps, shares or has no adapter, and the losses.

    `numbers` and `losses` have a row a way, a column a threshold: means over the seeds; `low` and `high` are the least
    and the largest. `lora` is LoRA on every layer: a row of trained numbers, a row of losses, a column a rank.
    """

    layers: tuple[str, ...]
    shares: np.ndarray
    kept: np.ndarray
    trained: int
    loss: float
    numbers: np.ndarray
    losses: np.ndarray
    low: np.ndarray
    high: np.ndarray
    lora: np.ndarray
    sentence: str


def who_keeps() -> Explorer:
    """Return the drop explorer, on the record that the book ships."""
    return explore_drops(recorded())


def explore_drops(found: Recorded) -> Explorer:
    """Return the drop explorer of these runs."""
    return tabled_explorer("drop", State(), partial(compute, found=found), still)


def compute(state: State, found: Recorded) -> Result:
    """Pick the run, and the means of all."""
    run = found.runs[state.way, state.t, state.seed]
    shares = (found.size if state.way == SIZE else found.effect)[state.seed]
    kept = np.full(len(shares), NONE if state.way == ALONE else SHARES, np.uint8)
    kept[list(run.kept)] = OWN
    losses = np.array([[found.losses(way, t) for t in STOPS] for way in WAYS])
    numbers = np.array([[found.numbers(way, t) for t in STOPS] for way in WAYS])
    lora = np.array([(lora_parameters(SHAPE, r, "_proj"), found.lora[r].mean()) for r in LORA_RANKS]).T
    mean = losses[WAYS.index(state.way), STOPS.index(state.t)].mean()
    return Result(
        LAYERS, np.array(shares), kept, run.trained, run.score,
        numbers, losses.mean(2), losses.min(2), losses.max(2), lora,
        f"{_who(state, run, found)} {run.trained:,} trained numbers, {run.trained / lora[0, -1]:.0%} of LoRA's, and "
        f"{run.score:.3f} nats per token; {mean:.3f} over {len(REPORT_SEEDS)} seeds.",
    )  # fmt: skip


def _who(state: State, run: DropRun, found: Recorded) -> str:
    effect, rest = found.effect[state.seed], len(LAYERS) - len(run.kept)
    if not rest:
        return f"All {len(LAYERS)} layers keep an adapter of their own:"
    others = f"{rest} have none" if state.way == ALONE else f"{rest} share"
    return (
        f"T = {state.t:g}, {state.way}: {len(run.kept)} of {len(LAYERS)} layers, with "
        f"{sum(effect[i] for i in run.kept):.0%} of the effect, keep their own, {others}:"
    )


def still(state: State, result: Result) -> "Figure":
    """Draw shares and losses without a browser."""
    figure = style.figure(7.2, 3.4)
    figure.suptitle(result.sentence, color=style.NEUTRAL.text, fontsize=8, x=0.01, ha="left", wrap=True)
    bars = style.axes(figure, "", "layer: q k v o gate up down, four times", "share (%)", (1, 2, 1))
    own = result.kept == OWN
    for which, colour, label in ((own, style.TRAINABLE.light, "its own"), (~own, style.FROZEN.light, "not")):
        bars.bar(np.arange(len(own))[which], 100 * result.shares[which], color=colour, label=label)
    bars.set_xticks([])
    bars.legend(frameon=False, labelcolor=style.NEUTRAL.text, fontsize=8)
    plot = style.axes(figure, "", "trained numbers", "loss (nats per token)", (1, 2, 2))
    for way, numbers, losses in zip(WAYS, result.numbers, result.losses, strict=True):
        bold = way == state.way
        colour = style.variant(LOOKS[way]).light if way in LOOKS else style.NEUTRAL.quiet
        plot.plot(numbers, losses, color=colour, linewidth=2.5 if bold else 1, marker="o", markersize=3, label=way)
    plot.plot(*result.lora, color=style.NEUTRAL.text, linestyle=":", marker="*", label="LoRA everywhere, smaller rank")
    plot.plot(result.trained, result.loss, "o", color=style.NEUTRAL.text, fillstyle="none", markersize=9)
    plot.legend(frameon=False, labelcolor=style.NEUTRAL.text, fontsize=7)
    return figure
