"""Scale explorer: how large LoRA's output s·BAx is at rank r, for s = α/r and s = α/√r, in three regimes.

If B is random with entries of fixed variance, the r terms of BAx add up like a random walk, RMS(BAx) ∝ √r, and α/√r
keeps the output's size where α/r shrinks it. But B starts at zero and is then *trained*: after one SGD step, or after
some Adam steps, it depends on A and on s, and which scale is the flat one has to be measured again.
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from lorabook.axes.scale.rslora import rsLoRA
from lorabook.book import style
from lorabook.book.explore.explorer import Explorer, tabled_explorer
from lorabook.book.explore.state import Choice, Steps, control
from lorabook.core.adapted_layer import Adapted
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.recipe import Recipe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RANKS = tuple(2**i for i in range(9))
REGIMES = ("random B", "one SGD step", "10 Adam steps")
WHEN = dict(zip(REGIMES, ("With a random B", "After one SGD step", "After 10 Adam steps"), strict=True))
INPUTS = ("the training inputs", "new inputs")
SCALES = {"α/r": LoRA(alpha=16.0), "α/√r": rsLoRA(alpha=16.0)}
WIDTH, ROWS, NEW_ROWS = 256, 4, 64


@dataclass(frozen=True)
class State:
    """Where B comes from, which inputs the output is measured on, and the rank that is read off."""

    regime: str = control(REGIMES[0], Choice("B is", REGIMES))
    inputs: str = control(INPUTS[1], Choice("measured on", INPUTS))
    r: int = control(64, Steps("rank r", RANKS))


@dataclass(frozen=True)
class Sizes:
    """RMS of s·BAx over its value at r = 1, by regime, inputs, scale and rank; `low` and `high` span the seeds.

    `slope` is that of log size over log r, by regime, inputs and scale.
    """

    size: np.ndarray
    low: np.ndarray
    high: np.ndarray
    slope: np.ndarray


@dataclass(frozen=True)
class Result:
    """The curves of one regime on one kind of inputs: a row for each scale, a column for each rank.

    `laws` says how each size grows with r; `span` holds the smallest and largest size of the regime, on any inputs.
    """

    ranks: tuple[int, ...]
    scales: tuple[str, ...]
    size: np.ndarray
    low: np.ndarray
    high: np.ndarray
    laws: tuple[str, ...]
    span: np.ndarray
    sentence: str


def scale_law(generator: torch.Generator, seeds: int = 6) -> Explorer:
    """Return the scale explorer; it measures on construction (about two seconds)."""
    return explore_sizes(measure(generator, seeds))


def explore_sizes(sizes: Sizes) -> Explorer:
    """Return the scale explorer of a measurement that is there already."""
    return tabled_explorer("scale", State(), partial(compute, sizes=sizes), still)


def measure(generator: torch.Generator, seeds: int) -> Sizes:
    """Measure the output's size in every regime, on both kinds of input, for both scales and every rank."""
    raw = np.zeros((seeds, len(REGIMES), len(INPUTS), len(SCALES), len(RANKS)))
    for seed in range(seeds):
        problem = _Problem.drawn(generator)
        for i, train in enumerate((_random_b, _one_sgd_step, _adam_steps)):
            for k, recipe in enumerate(SCALES.values()):
                for m, r in enumerate(RANKS):
                    layer = problem.adapted(recipe | Recipe(r=r), generator)
                    train(layer, problem, generator)
                    raw[seed, i, :, k, m] = _size(layer, problem.x), _size(layer, problem.new)
    size = np.sqrt((raw**2).mean(0))
    start = size[..., :1]
    slope = np.polynomial.polynomial.polyfit(np.log2(RANKS), np.log2(size / start).reshape(-1, len(RANKS)).T, 1)[1]
    return Sizes(size / start, raw.min(0) / start, raw.max(0) / start, slope.reshape(size.shape[:-1]))


def compute(state: State, sizes: Sizes) -> Result:
    """Gather the curves of the state's regime and inputs, and say which scale is the flat one."""
    i, j = REGIMES.index(state.regime), INPUTS.index(state.inputs)
    slope, scales = sizes.slope[i, j], tuple(SCALES)
    laws = tuple(_power(exponent) for exponent in slope)
    flat = int(np.abs(slope).argmin())
    other = 1 - flat
    sentence = (
        f"{WHEN[state.regime]}, on {state.inputs}, {scales[flat]} comes closest to keeping the output's size "
        f"(∝ {laws[flat]}); with {scales[other]} it {'shrinks' if slope[other] < 0 else 'grows'} as {laws[other]}."
    )
    span = np.array([sizes.low[i].min(), sizes.high[i].max()])
    return Result(RANKS, scales, sizes.size[i, j], sizes.low[i, j], sizes.high[i, j], laws, span, sentence)


def still(state: State, result: Result) -> "Figure":
    """Draw the curves without a browser."""
    figure = style.figure()
    axes = style.axes(figure, result.sentence, "rank r (log scale)", "RMS of s·BAx over that at r = 1 (log scale)")
    for name, size, variant in zip(SCALES, result.size, ("LoRA", "rsLoRA"), strict=True):
        drawn = style.variant(variant)
        axes.loglog(RANKS, size, color=drawn.light, marker=style.MATPLOTLIB_MARKER[drawn.marker], label=name)
    axes.legend(frameon=False, labelcolor=style.NEUTRAL.text, fontsize=8)
    return figure


def _power(exponent: float) -> str:
    """Write r to a power, with a sign and two digits."""
    digits = f"{abs(exponent):.2f}"
    sign = "" if digits == "0.00" else "−" if exponent < 0 else "+"
    return f"r^{sign}{digits}"


@dataclass(frozen=True)
class _Problem:
    """A linear layer that is to become another one, seen through a few inputs; `new` are inputs it never trains on."""

    x: Tensor
    y: Tensor
    new: Tensor
    weight: Tensor

    @classmethod
    def drawn(cls, generator: torch.Generator) -> "_Problem":
        """Draw one at random; entries have the size that keeps a layer's output at 1."""
        draw = partial(torch.randn, generator=generator, dtype=torch.float64)
        weight, change = draw(WIDTH, WIDTH) / WIDTH**0.5, draw(WIDTH, WIDTH) / WIDTH**0.5
        x = draw(ROWS, WIDTH)
        return cls(x, x @ (weight + change).T, draw(NEW_ROWS, WIDTH), weight)

    def adapted(self, recipe: Recipe, generator: torch.Generator) -> Adapted:
        """Return the layer with a fresh adapter."""
        layer = nn.utils.skip_init(nn.Linear, WIDTH, WIDTH, bias=False, dtype=torch.float64)
        with torch.no_grad():
            layer.weight.copy_(self.weight)
        return inject(nn.Sequential(layer), recipe, "0", generator)["0"]


def _random_b(layer: Adapted, problem: _Problem, generator: torch.Generator) -> None:
    with torch.no_grad():
        layer.update.B.normal_(generator=generator)


def _one_sgd_step(layer: Adapted, problem: _Problem, generator: torch.Generator) -> None:
    _step(layer, problem, torch.optim.SGD(layer.update.parameters(), lr=1e-2), 1)


def _adam_steps(layer: Adapted, problem: _Problem, generator: torch.Generator) -> None:
    _step(layer, problem, layer.recipe.optim.build(dict(layer.update.named_parameters()), 1e-4), 10)


def _step(layer: Adapted, problem: _Problem, optimizer: torch.optim.Optimizer, times: int) -> None:
    for _ in range(times):
        optimizer.zero_grad()
        nn.functional.mse_loss(layer(problem.x), problem.y).backward()
        optimizer.step()


@torch.no_grad()
def _size(layer: Adapted, x: Tensor) -> float:
    """Return the RMS of what the update adds to the output."""
    return (layer(x) - layer.base(x)).square().mean().sqrt().item()
