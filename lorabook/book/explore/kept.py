"""Explorer of activations: what one layer keeps for its backward pass, tensor by tensor, predicted and measured.

The prediction is `lorabook.cost.kept`, the measurement `lorabook.cost.kept_measured` on one layer of the book's shape.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from lorabook.axes.form.lora_fa import LoRAFA
from lorabook.book import style
from lorabook.book.explore.explorer import Explorer, tabled_explorer
from lorabook.book.explore.state import Choice, Steps, Toggle, control, folded
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.recipe import Recipe
from lorabook.cost.kept import ALWAYS, MATRICES, NOTHING, TRAINED, H, Trained, kept_numbers, lora, lora_fa, made
from lorabook.cost.kept_measured import kept_bytes
from lorabook.models.decoder import DecoderConfig, Layer, full

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHAPE = DecoderConfig()
FLOAT = 4
KIB = 2**10
RATE = 0.1
WHOLE = "the seven matrices"
ADAPTERS: dict[str, tuple[Callable[..., Recipe], Callable[..., Trained]]] = {
    "LoRA": (LoRA, lora), "LoRA-FA": (LoRAFA, lora_fa),
}  # fmt: skip
KEPT, FREED, AGAIN = "kept", "freed", "made again"
"""A row is kept until its gradient is due, freed in the forward pass, or freed and made again when it is due."""


@dataclass(frozen=True)
class State:
    """What trains in the layer, and what is in flight."""

    trains: str = control(WHOLE, Choice("what trains", (WHOLE, *ADAPTERS)))
    r: int = control(8, Steps("rank r", (8, 16, 64)))
    dropout: bool = control(False, Toggle("dropout on the branch"))
    checkpointing: bool = control(False, Toggle("checkpointing"))
    batch: int = folded(4, Steps("batch", (1, 4), "seq."))
    length: int = folded(64, Steps("length", (64, 128), "tok."))


@dataclass(frozen=True)
class Result:
    """A row a tensor: its size, what becomes of it, and the bytes of it that autograd was measured to keep.

    `predicted` and `measured` are sums of what is kept; `whole` is what is kept when the seven matrices train, `floor`
    when nothing does. All in KiB. `limit` is the most that any setting of these batches keeps.
    """

    names: tuple[str, ...]
    sizes: np.ndarray
    fates: tuple[str, ...]
    kept: np.ndarray
    always: int
    predicted: float
    measured: float
    whole: float
    floor: float
    limit: float
    off: tuple[str, ...]
    sentence: str


def kept_for_backward() -> Explorer:
    """Return the explorer of what one layer keeps for its backward pass."""
    return tabled_explorer("kept", State(), compute, still)


def compute(state: State) -> Result:
    """Predict every row, and measure it on a layer."""
    tokens, trained = state.batch * state.length, _trained(state)
    measured = _measured(state.trains, trained.r, trained.dropout, state.checkpointing, state.batch, state.length)
    numbers, possible = kept_numbers(SHAPE, trained), made(SHAPE, trained)
    if state.checkpointing:
        numbers[H] = SHAPE.hidden  # and no mean square beside it: the norm stores nothing yet
    names = (*ALWAYS, *TRAINED)
    fates = tuple(_fate(name, numbers[name] > 0, state.checkpointing) for name in names)
    to_kib = tokens * FLOAT / KIB
    sizes = np.array([(numbers[name] or possible[name]) * to_kib for name in names])
    kept = np.array([measured[name] / KIB for name in names])
    predicted = numbers[H] if state.checkpointing else sum(numbers.values())
    most = lora(64, dropout=True)
    whole, floor, limit = (sum(kept_numbers(SHAPE, one).values()) for one in (MATRICES, NOTHING, most))
    return Result(
        names, sizes, fates, kept, len(ALWAYS), predicted * to_kib, float(kept.sum()), whole * to_kib, floor * to_kib,
        limit * to_kib, () if trained.r else ("r", "dropout"), _sentence(state, sum(kept_numbers(SHAPE, trained).values()), predicted, whole),
    )  # fmt: skip


def still(state: State, result: Result) -> "Figure":
    """Draw the rows without a browser: filled what is kept, hollow what is not."""
    figure = style.figure(7.2, 3.4)
    axes = style.axes(figure, result.sentence, "KiB in one layer", "")
    left = 0.0
    for i, (size, fate) in enumerate(zip(result.sizes, result.fates, strict=True)):
        colour = (style.FROZEN if i < result.always else style.TRAINABLE).light
        axes.barh(-i, size, left=left, facecolor=colour if fate == KEPT else "none", edgecolor=colour, linestyle=":")
        left += size if fate != FREED else 0.0
    axes.set_yticks([-i for i in range(len(result.names))], result.names)
    axes.axvline(result.whole, color=style.NEUTRAL.text, linestyle=":")
    axes.set_xlim(0, result.limit)
    return figure


def _trained(state: State) -> Trained:
    return MATRICES if state.trains == WHOLE else ADAPTERS[state.trains][1](state.r, state.dropout)


def _fate(name: str, needed: bool, checkpointing: bool) -> str:
    if not needed:
        return FREED
    return AGAIN if checkpointing and name != H else KEPT


@cache
def _layer(trains: str, r: int, dropout: bool) -> Layer:
    layer = Layer(SHAPE, full).requires_grad_(False)
    if trains == WHOLE:
        for name, parameter in layer.named_parameters():
            parameter.requires_grad_("_proj" in name)
    else:
        recipe = ADAPTERS[trains][0](r=r, dropout=RATE if dropout else 0.0)
        inject(layer, recipe, "_proj", torch.Generator().manual_seed(0))
    return layer


@cache
def _measured(trains: str, r: int, dropout: bool, checkpointing: bool, batch: int, length: int) -> dict[str, int]:
    # It is no leaf, as in a model: what a layer reads comes out of the one before it.
    h = torch.zeros(batch, length, SHAPE.hidden, requires_grad=True) * 1.0
    return kept_bytes(_layer(trains, r, dropout), h, checkpointing=checkpointing)


def _sentence(state: State, at_once: int, predicted: int, whole: int) -> str:
    each = f"{predicted * FLOAT:,} bytes a token"
    if state.checkpointing:
        due = f"{at_once * FLOAT:,} are there at once"
        return f"With checkpointing the layer keeps {each}, h alone; when its gradient is due, {due}."
    who = "The seven matrices train" if state.trains == WHOLE else f"{state.trains} of rank {state.r}"
    drop = " with dropout" if state.dropout and state.trains != WHOLE else ""
    beside = "" if state.trains == WHOLE else f", {predicted / whole:.0%} of what it keeps if the seven matrices train"
    return f"{who}{drop}: the layer keeps {each}{beside}."
