"""One budget, many places: LoRA on some of a layer's seven matrices, with as many numbers as rank 8 on all of them.

The loss of 38 choices is recorded, for the book's model; rank, bytes and arithmetic are predicted for all 127, and for
larger shapes too.
"""

from dataclasses import astuple, dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lorabook.arena import where_runs
from lorabook.arena.where_losses import Losses, recorded
from lorabook.arena.where_runs import EVERYWHERE, MATRICES
from lorabook.book import style
from lorabook.book.explore.explorer import Explorer, tabled_explorer
from lorabook.book.explore.state import Some, Steps, control
from lorabook.cost.count import LLAMA, SMOLLM2, layer_matrices, lora_parameters, matched, two_path_flops
from lorabook.cost.memory import BF16, MIXED, Adapters, layer_activations
from lorabook.models.decoder import DecoderConfig

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OURS = "this model"
SHAPES: dict[str, DecoderConfig] = {
    OURS: DecoderConfig(), "SmolLM2": SMOLLM2, "LLaMA 7B": LLAMA["7B"], "LLaMA 70B": LLAMA["70B"],
}  # fmt: skip
KIB = 2**10
PRESETS = {127: "all seven", 15: "attention", 112: "MLP", 5: "q, v"}


@dataclass(frozen=True)
class State:
    """Which matrices have an adapter, and the model whose rank, bytes and arithmetic are predicted."""

    where: str = control(EVERYWHERE, Some("adapters on", MATRICES))
    shape: str = control(OURS, Steps("costs for", tuple(SHAPES)))


@dataclass(frozen=True)
class Cost:
    """What a choice costs in a shape.

    `kept` is what one layer keeps for its backward pass, in KiB of bf16 a token; `added` the adapters' operations over
    those of the frozen matrices, both passes; `products` how many more a layer has in its forward pass.
    """

    r: int
    trained: int
    kept: float
    added: float
    products: int


@dataclass(frozen=True)
class Result:
    """All matrices, their sides over the hidden size; the choice as a mask, whose bit i is matrix i; `Cost`s as arrays.

    `masks` and `losses` are the recorded choices and their losses in the book's model; `loss` is that of this choice,
    None where it is not recorded.
    """

    names: tuple[str, ...]
    sizes: np.ndarray
    hidden: int
    here: int
    masks: np.ndarray
    losses: np.ndarray
    start: float
    loss: float | None
    cost: np.ndarray
    everywhere: np.ndarray
    sentence: str


def one_budget() -> Explorer:
    """Return the explorer of places, on the record that the book ships."""
    return explore_where(recorded())


def explore_where(losses: Losses) -> Explorer:
    """Return the explorer of places of these losses."""
    return tabled_explorer("where", State(), partial(compute, losses=losses), still)


def mask(where: str) -> int:
    """Return the sum of 2ⁱ over the matrices of a choice, i their place in `MATRICES`."""
    return sum(2 ** MATRICES.index(name) for name in where.split(", "))


def cost(where: str, shape: DecoderConfig) -> Cost:
    """Predict what a choice costs."""
    r, targets = where_runs.rank_for(where, shape), where_runs.targets_of(where)
    every, chosen = layer_matrices(shape).values(), matched(shape, targets).values()
    added = sum(_operations(size, r) - _operations(size, 0) for size in chosen)
    share = added / sum(_operations(size, 0) for size in every)
    kept = layer_activations(shape, Adapters(r, targets, BF16), MIXED) / KIB
    return Cost(r, lora_parameters(shape, r, targets), kept, share, 2 * len(chosen))


def _operations(size: tuple[int, int], r: int) -> int:
    flops = two_path_flops(1, *size, r)
    return flops.forward + flops.backward


def compute(state: State, losses: Losses) -> Result:
    """Read the loss off, and predict the costs."""
    shape = SHAPES[state.shape]
    return Result(
        MATRICES,
        np.array(list(layer_matrices(shape).values()), np.float32) / shape.hidden,
        shape.hidden,
        mask(state.where),
        np.array([mask(where) for where in losses.of], np.uint8),
        np.array(list(losses.of.values())),
        losses.start,
        losses.of.get(state.where),
        np.array(astuple(cost(state.where, shape))),
        np.array(astuple(cost(EVERYWHERE, shape))),
        f"Adapters on {state.where} ({_budget(state.where)}): {_outcome(state.where, losses)}",
    )


def _budget(where: str) -> str:
    ours = cost(where, SHAPES[OURS])
    share = ours.trained / cost(EVERYWHERE, SHAPES[OURS]).trained
    return f"rank {ours.r}" if share > 0.9 else f"rank {ours.r}, all it has room for, {share:.0%} of the budget"


def _outcome(where: str, losses: Losses) -> str:
    if where not in losses.of:
        return f"not one of the {len(losses.of)} choices that were trained; below is what it would cost."
    place = sorted(losses.of, key=losses.of.__getitem__).index(where) + 1
    return (
        f"{losses.of[where]:.3f} nats per token, {losses.share(where):.0%} of what all seven gain, "
        f"number {place} of {len(losses.of)}."
    )


def still(state: State, result: Result) -> "Figure":
    """Draw the losses without a browser: a row for each number of matrices; single ones and the presets by name."""
    figure = style.figure(5.2, 3.0)
    axes = style.axes(figure, result.sentence, "loss on unseen verses (nats per token)", "matrices with an adapter")
    rows = [int(each).bit_count() for each in result.masks]
    axes.plot(result.losses, rows, "|", color=style.TRAINABLE.light, markersize=9)
    if result.loss is not None:
        axes.plot(result.loss, result.here.bit_count(), "o", color=style.NEUTRAL.text, fillstyle="none", markersize=9)
    for choice, loss, row in zip(result.masks, result.losses, rows, strict=True):
        alone = result.names[int(choice).bit_length() - 1] if row == 1 else ""
        if name := PRESETS.get(int(choice), alone):
            axes.annotate(
                name, (loss, row), (0, 6), textcoords="offset points", ha="center", color=style.NEUTRAL.text, fontsize=8
            )
    axes.set_yticks(range(1, 8))
    axes.set_ylim(0.6, 7.7)
    return figure
