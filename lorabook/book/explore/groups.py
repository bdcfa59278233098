"""Groups explorer: who looks at whom in training, how far a text travels through the layers, and what it costs.

The masks are the library's own `Shifted.mask`. The cost is that of one training step through a layer of LLaMA-2-7B,
counted by the formula that `claims/longlora/cost.py` holds against FLOPs measured by torch.
"""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from lorabook.axes.attention.longlora import Shifted
from lorabook.book import style
from lorabook.book.explore.explorer import Explorer, tabled_explorer
from lorabook.book.explore.state import Slider, Steps, Toggle, control
from lorabook.cost.longer import LENGTHS, per_token, share_of_scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LENGTH = 32
GROUPS = (4, 8, 16)
DEEPEST = 16
FULL, LORA, GROUPED = "full fine-tuning", "LoRA, full attention", "LoRA, in groups"


@dataclass(frozen=True)
class State:
    """The groups of a text of 32 tokens, the depth of the model, and the token whose past is asked for."""

    group: int = control(8, Steps("group g", GROUPS, "tokens"))
    shift: bool = control(True, Toggle("shift half of the heads"))
    layers: int = control(4, Slider("layers", 1, DEEPEST))
    token: int = control(LENGTH, Slider("token", 1, LENGTH))


@dataclass(frozen=True)
class Result:
    """Who sees whom, and what the chosen token has heard of.

    halves: for each half of the heads, 1 where row i sees column j. heard: a row for each layer, the chosen token's
    output first and the text itself last, 1 where something of it arrives. `share` is that of full attention's scores,
    `costs` are GFLOP a token and layer at `lengths` for `names`.
    """

    halves: tuple[np.ndarray, ...]
    heard: tuple[np.ndarray, ...]
    first: int
    enough: int
    share: float
    lengths: np.ndarray
    names: tuple[str, ...]
    costs: tuple[np.ndarray, ...]
    sentence: str


def shifted_groups() -> Explorer:
    """Return the explorer of LongLoRA's groups."""
    return tabled_explorer("groups", State(), compute, still)


def compute(state: State) -> Result:
    """Ask the library for the masks, and follow what the chosen token hears, layer by layer."""
    masks = _masks(state.group, state.shift)
    heard = _heard(state.group, state.shift, state.token - 1)[: state.layers + 1]
    first, enough = int(heard[-1].argmax()) + 1, _enough(state.group, state.shift)
    share = share_of_scores(1 / (LENGTH // state.group), state.shift)
    costs = _costs(share)
    told = f"tokens {first} to {state.token}" if first < state.token else f"token {first} alone"
    depth = f"{state.layers} layers" if state.layers > 1 else "1 layer"
    all_of_it = (
        f"after {enough} layers every token has heard of all before it" if enough else "no depth crosses a border"
    )
    sentence = f"Token {state.token} has heard of {told} after {depth}; {all_of_it}. "
    sentence += f"{share:.1%} of full attention's scores."
    return Result(
        tuple(mask.numpy().astype(np.uint8) for mask in masks), heard, first, enough, share,
        np.array(LENGTHS, np.float64), (FULL, LORA, GROUPED), costs, sentence,
    )  # fmt: skip


@cache
def _costs(share: float) -> tuple[np.ndarray, ...]:
    return tuple(per_token(scores, adapted) for scores, adapted in ((1.0, False), (1.0, True), (share, True)))


@cache
def _masks(group: int, shift: bool) -> Bool[Tensor, "2 length length"]:
    """Return who sees whom in each half of the heads; without the shift the two halves are one."""
    masks = Shifted(group).mask(2, LENGTH, torch.device("cpu"))
    return masks if shift else masks[:1].expand(2, -1, -1)


@cache
def _heard(group: int, shift: bool, token: int) -> tuple[np.ndarray, ...]:
    """Return which places of each layer reach this token's output, from the output down to the deepest text."""
    seen = _masks(group, shift).any(0)
    rows = [torch.arange(LENGTH) == token]
    for _ in range(DEEPEST):
        rows.append(seen[rows[-1]].any(0))
    return tuple(row.numpy().astype(np.uint8) for row in rows)


@cache
def _enough(group: int, shift: bool) -> int:
    """Return how many layers it takes until every token has heard of all before it; 0 if `DEEPEST` are too few."""
    for layers in range(1, DEEPEST + 1):
        if all(_heard(group, shift, token)[layers][0] for token in range(LENGTH)):
            return layers
    return 0


def still(state: State, result: Result) -> "Figure":
    """Draw masks, travel and cost without a browser."""
    figure = style.figure(5.2, 4.6)
    figure.suptitle(result.sentence, color=style.NEUTRAL.text, fontsize=8, x=0.01, ha="left", wrap=True)
    titles = ("half of the heads", "the other half" if state.shift else "the other half, not shifted")
    for k, (title, mask) in enumerate(zip(titles, result.halves, strict=True)):
        axes = style.axes(figure, title, "token j", "token i", (2, 2, k + 1))
        _squares(axes, mask, style.TRAINABLE.light)
        axes.axhline(state.token - 1, color=style.NEUTRAL.text, linewidth=0.8, linestyle=":")
    travel = style.axes(figure, f"what token {state.token} hears of", "token", "layers back", (2, 2, 3))
    _squares(travel, np.stack(result.heard), style.variant("rsLoRA").light)
    travel.set_aspect("auto")
    cost = style.axes(figure, "cost of a step", "tokens in a text", "GFLOP a token and layer", (2, 2, 4))
    for name, line, (colour, dash) in zip(result.names, result.costs, LOOKS, strict=True):
        cost.loglog(result.lengths, line, color=colour, linestyle=style.MATPLOTLIB_DASH[dash], label=name)
    cost.legend(frameon=False, labelcolor=style.NEUTRAL.text, fontsize=7)
    return figure


LOOKS = (
    (style.NEUTRAL.text, style.REFERENCE.dash),
    (style.variant("rsLoRA").light, "dashdot"),
    (style.TRAINABLE.light, "solid"),
)


def _squares(axes: "Axes", seen: np.ndarray, colour: str) -> None:
    from matplotlib.colors import ListedColormap

    axes.imshow(seen, cmap=ListedColormap(["none", colour]), vmin=0, vmax=1, interpolation="nearest")
    axes.grid(False)
