"""Vector explorer: two layers that share VeRA's frozen pair, each with its b and d; and what a model's VeRA counts.

Each layer's b and d are given their best for a wanted 24 × 24 ΔW: in turns, b row by row for the d that stands, then d
by least squares for that b. The counts are the library's, on a model's own shapes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, linalg, nn

from lorabook.axes.form.vera import SharedPair, VeRA, VeRAForm
from lorabook.book import style
from lorabook.book.explore.explorer import Explorer, tabled_explorer
from lorabook.book.explore.state import Choice, Steps, control
from lorabook.core.inject import place
from lorabook.core.lora import ORIGIN, LowRankForm
from lorabook.core.targets import find_targets
from lorabook.cost.count import LLAMA, lora_parameters, matched
from lorabook.cost.spectrum import nearest_of_rank
from lorabook.models.decoder import DecoderConfig

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE, LAYERS, TURNS, STARTS = 24, 2, 30, 6
FEW, NOISE = "two directions", "no pattern"
RANKS = tuple(2**i for i in range(9))
LORA_RANKS = (1, 2, 4, 8, 16)
MODELS: dict[str, tuple[DecoderConfig, str]] = {
    "the book's model": (DecoderConfig(), "_proj"),
    "LLaMA-7B, q and v": (LLAMA["7B"], r"[qv]_proj"),
    "LLaMA-7B, all seven": (LLAMA["7B"], "_proj"),
}


@dataclass(frozen=True)
class State:
    """VeRA's rank, that of the LoRA beside it, what the layers want, and the model whose numbers are counted."""

    r: int = control(4, Steps("rank r of VeRA", RANKS))
    plain: int = control(1, Steps("rank r of LoRA", LORA_RANKS))
    wanted: str = control(FEW, Choice("wanted ΔW", (FEW, NOISE)))
    model: str = control("the book's model", Choice("counted on", tuple(MODELS)))


@dataclass(frozen=True)
class Result:
    """Each layer's b, d, ΔW, wanted ΔW and share reached, by VeRA and by LoRA; and the counts of a whole model.

    `numbers` are a layer's trained numbers. `counts` are of the model: LoRA's, VeRA's b and d, the pair.
    """

    b: tuple[np.ndarray, ...]
    d: tuple[np.ndarray, ...]
    update: tuple[np.ndarray, ...]
    wanted: tuple[np.ndarray, ...]
    reached: tuple[float, ...]
    plain_reached: tuple[float, ...]
    numbers: tuple[int, ...]
    counts: tuple[int, ...]
    share: float
    sentence: str


Wanted = Mapping[str, tuple[Float[Tensor, "24 24"], ...]]
"""What each layer may want, by name."""


def shared_vectors(generator: torch.Generator) -> Explorer:
    """Return the vector explorer."""
    wanted = targets(generator)
    return tabled_explorer("vectors", State(), partial(compute, best=Best(wanted)), still)


def targets(generator: torch.Generator) -> Wanted:
    """Return what each layer may want: a ΔW of rank 2 of its own, or a random one; each of norm 1."""
    draw = partial(torch.randn, generator=generator, dtype=torch.float64)
    few = [draw(SIDE, 2) @ draw(2, SIDE) for _ in range(LAYERS)]
    noise = [draw(SIDE, SIDE) for _ in range(LAYERS)]
    return {name: tuple(m / m.norm() for m in some) for name, some in ((FEW, few), (NOISE, noise))}


class Best:
    """The library's VeRA at its best for each wish and rank, each found once."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.found = cache(self._find)

    def _find(self, name: str, r: int) -> list[SharedPair]:
        updates = layers(r)
        for update, m in zip(updates, self.wanted[name], strict=True):
            set_nearest(update, m)
        return updates


def layers(r: int) -> list[SharedPair]:
    """Return VeRA on layers of 24 × 24 that share one pair."""
    model = nn.Sequential(*(nn.Linear(SIDE, SIDE, bias=False, dtype=torch.float64) for _ in range(LAYERS)))
    recipe = VeRA(r).complete(ORIGIN)
    # Not `inject`, whose bound on r is that of a rank: more than 24 numbers in d are no more rank, but more to choose.
    targets = find_targets(model, r"\d", recipe)
    return [layer.update for layer in place(model, recipe, targets, torch.Generator().manual_seed(0)).values()]


@torch.no_grad()
def set_nearest(update: SharedPair, m: Float[Tensor, "24 24"]) -> None:
    """Set b and d so that diag(b) B diag(d) A is as near to m as turns between them bring it, from the best start."""
    draw = torch.Generator().manual_seed(0)
    tries = [_turns(update, m, torch.randn(len(update.d), generator=draw, dtype=m.dtype)) for _ in range(STARTS)]
    _, b, d = min(tries, key=lambda found: found[0])
    size = d.abs().mean() / update.d.abs().mean()  # b and d can trade one factor: d keeps the size that it starts with
    update.b.copy_(b * size)
    update.d.copy_(d / size)


def _turns(update: SharedPair, m: Float[Tensor, "24 24"], d: Tensor) -> tuple[float, Tensor, Tensor]:
    """Return what is missed, ‖m − ΔW‖², and the b and d that miss it."""
    a, b = update.sliced(m.shape[1])
    inner = a @ a.T
    for _ in range(TURNS):
        rows = (b * d) @ a
        outer = (rows * m).sum(1) / rows.square().sum(1)
        scaled = outer[:, None] * b
        # The r outer products among each other, and each one with m.
        d = linalg.solve((scaled.T @ scaled) * inner, (scaled.T @ m * a).sum(1))
    return float((m - (scaled * d) @ a).square().sum()), outer, d


def compute(state: State, best: Best) -> Result:
    """Show each layer's best, and count."""
    wanted, updates = best.wanted[state.wanted], best.found(state.wanted, state.r)
    none = torch.zeros(SIDE, SIDE, dtype=torch.float64)
    deltas = [update.weight(none).detach() for update in updates]
    reached = tuple(1 - float((m - delta).square().sum()) for m, delta in zip(wanted, deltas, strict=True))
    plain = tuple(1 - float((m - nearest_of_rank(m, state.plain)).square().sum()) for m in wanted)
    numbers = VeRAForm().count(SIDE, SIDE, state.r), LowRankForm().count(SIDE, SIDE, state.plain)
    config, names = MODELS[state.model]
    shapes = matched(config, names).values()
    vectors = config.layers * sum(VeRAForm().count(*shape, state.r) for shape in shapes)
    pair = state.r * (max(d_out for d_out, _ in shapes) + max(d_in for _, d_in in shapes))
    lora = lora_parameters(config, state.plain, names)
    sentence = (
        f"{state.wanted.capitalize()}: with {numbers[0]} numbers a layer VeRA reaches {reached[0]:.0%} and "
        f"{reached[1]:.0%}; with {numbers[1]} LoRA of rank {state.plain} reaches {plain[0]:.0%} and {plain[1]:.0%}."
    )
    return Result(
        tuple(u.b.detach()[:, None].numpy() for u in updates), tuple(u.d.detach()[None].numpy() for u in updates),
        tuple(x.numpy() for x in deltas), tuple(m.numpy() for m in wanted), reached, plain, numbers,
        (lora, vectors, pair), vectors / lora, sentence,
    )  # fmt: skip


def still(state: State, result: Result) -> "Figure":
    """Draw what two layers want and what their vectors make of the pair, without a browser."""
    from matplotlib.colors import LinearSegmentedColormap

    figure = style.figure(5.2, 2.1)
    colours = LinearSegmentedColormap.from_list(
        "signs", [style.TRAINABLE.light, style.NEUTRAL.grid[:7] + "22", style.variant("rsLoRA").light]
    )
    figure.suptitle(result.sentence, color=style.NEUTRAL.text, fontsize=8, x=0.01, ha="left", wrap=True)
    for i in range(LAYERS):
        most = np.abs(result.wanted[i]).max()
        for j, (name, matrix) in enumerate((("ΔW", result.update[i]), ("wanted", result.wanted[i]))):
            axes = style.axes(
                figure, "", f"reaches {result.reached[i]:.0%}" if j == 0 else "", "", (1, 4, 2 * i + j + 1)
            )
            axes.set_title(f"layer {i + 1}: {name}", color=style.NEUTRAL.text, fontsize=8)
            axes.imshow(matrix, cmap=colours, vmin=-most, vmax=most)
            axes.grid(False)
            axes.set_xticks([])
            axes.set_yticks([])
    return figure
