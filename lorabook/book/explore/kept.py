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
from lorabook.cost.kept import ALWAYS, MATRICES, TRAINED, H, Trained, kept_numbers, lora, lora_fa, made
from lorabook.cost.kept_measured import kept_bytes
from lorabook.models.decoder import DecoderConfig, Layer, full

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHAPE = DecoderConfig()
FLOAT = 4
KIB = 2**10
RATE = 0.1
RANKS = (1, 4, 8, 16, 32, 64)
WHOLE = "the seven matrices"
ADAPTERS: dict[str, tuple[Callable[..., Recipe], Callable[..., Trained]]] = {
    "LoRA": (LoRA, lora), "LoRA-FA": (LoRAFA, lora_fa),
}  # fmt: skip
KEPT, FREED, AGAIN = "kept", "freed", "made again"
"""A row is kept until its gradient is due, freed in the forward pass, or freed and made again when it is due."""


@dataclass(frozen=True)
class State:
    """What trains in the layer, and what is in flight."""

    trains: str = control("LoRA", Choice("what trains", (WHOLE, *ADAPTERS)))
    r: int = control(8, Steps("rank r", RANKS))
    dropout: bool = control(False, Toggle("dropout on the branch"))
    checkpointing: bool = control(False, Toggle("checkpointing"))
    batch: int = folded(4, Steps("batch", (1, 4), "seq."))
    length: int = folded(64, Steps("length", (32, 64), "tok."))


@dataclass(frozen=True)
class Result:
    """A row a tensor: its size, what becomes of it, and the bytes of it that autograd was measured to keep.

    `predicted` and `measured` are sums of what is kept; `whole` is that of a layer whose seven matrices train,
    `limit` the most that any setting of this batch keeps. All in KiB.
    """

    names: tuple[str, ...]
    sizes: np.ndarray
    fates: tuple[str, ...]
    kept: np.ndarray
    always: int
    predicted: float
    measured: float
    whole: float
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
    at_once = sum(numbers.values())
    if state.checkpointing:
        numbers[H] = SHAPE.hidden  # and no mean square beside it: the norm stores nothing yet
    names = (*ALWAYS, *TRAINED)
    fates = tuple(_fate(name, numbers[name] > 0, state.checkpointing) for name in names)
    to_kib = tokens * FLOAT / KIB
    sizes = np.array([(numbers[name] or possible[name]) * to_kib for name in names])
    kept = np.array([measured[name] / KIB for name in names])
    predicted = (numbers[H] if state.checkpointing else at_once) * to_kib
    whole, limit = (
        sum(kept_numbers(SHAPE, one).values()) * to_kib for one in (MATRICES, lora(max(RANKS), dropout=True))
    )
    sentence = _sentence(state, predicted, at_once * to_kib, whole)
    off = () if trained.r else ("r", "dropout")
    return Result(names, sizes, fates, kept, len(ALWAYS), predicted, float(kept.sum()), whole, limit, off, sentence)


def still(state: State, result: Result) -> "Figure":
    """Draw the rows without a browser: filled what is kept, hollow what is not."""
    figure = style.figure(5.2, 3.2)
    figure.suptitle(result.sentence, color=style.NEUTRAL.text, fontsize=9, x=0.01, ha="left", wrap=True)
    axes = style.axes(figure, "", "KiB in one layer", "")
    left = 0.0
    for i, (size, fate) in enumerate(zip(result.sizes, result.fates, strict=True)):
        colour = (style.FROZEN if i < result.always else style.TRAINABLE).light
        look = {"facecolor": colour} if fate == KEPT else {"facecolor": "none", "edgecolor": colour, "linestyle": ":"}
        axes.barh(-i, size, left=left, **look)
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


def _sentence(state: State, kept: float, at_once: float, whole: float) -> str:
    who = "The seven matrices train" if state.trains == WHOLE else f"{state.trains} of rank {state.r}"
    drop = " with dropout" if state.dropout and state.trains != WHOLE else ""
    of = f"for {state.batch} × {state.length} tokens"
    if state.checkpointing:
        due = f"when its gradient is due, {at_once:,.0f} KiB are there at once"
        return f"{who}{drop}, checkpointing: the layer keeps {kept:,.0f} KiB {of}, h alone; {due}."
    beside = "" if state.trains == WHOLE else f", {kept / whole:.0%} of what it keeps if the seven matrices train"
    return f"{who}{drop}: the layer keeps {kept:,.0f} KiB {of}{beside}."
