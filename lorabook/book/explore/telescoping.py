"""Telescoping explorer: what the moves of Delta-LoRA's W₀ add up to, under a λ that stands still or changes.

W₀ moves by λ_t·s·(P_{t+1} − P_t) after each step. Sorted by products, the sum holds P_u with the weight λ_{u−1} − λ_u:
nothing between the first and the last of them where λ is constant.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from lorabook.book import style
from lorabook.book.explore.explorer import Explorer, tabled_explorer
from lorabook.book.explore.state import Choice, Steps, control
from lorabook.book.explore.telescoping_runs import (
    ALPHA,
    FROM_0,
    RANK,
    SCHEDULES,
    STEPS,
    left,
    rates_of,
    run,
    singular_values,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RATES = (0.0, 0.5, 1.0, 2.0)
SAME = 1e-4
"""Two runs at one place: AdamW's ε alone keeps them about 1e-6 apart."""


@dataclass(frozen=True)
class State:
    """How far the training is, λ, and how λ_t goes."""

    t: int = control(6, Steps("steps taken", tuple(range(STEPS + 1))))
    rate: float = control(2.0, Steps("λ", RATES))
    schedule: str = control(FROM_0, Choice("λ of a step", tuple(SCHEDULES)))


@dataclass(frozen=True)
class Result:
    """Of the sum after t steps: the weight `left` to each P_u, over λ, and the singular values `sigma`.

    `put` is what the step before had put on P_u. `ranks` are those of W₀'s way after 0 … T steps, `misses` the
    distances from what is wanted of Delta-LoRA, of LoRA with α(1 + λ), and of LoRA with α, a row each;
    `share` is how much of ‖W₀'s way‖² lies in its first 2r directions.
    """

    put: np.ndarray
    left: np.ndarray
    sigma: np.ndarray
    ranks: tuple[int, ...]
    misses: np.ndarray
    larger: str
    r: int
    share: float
    apart: float
    sentence: str


def telescoping() -> Explorer:
    """Return the telescoping explorer."""
    return tabled_explorer("telescoping", State(), compute, still)


def compute(state: State) -> Result:
    """Sort the sum after t steps by products, and set the model beside LoRA with α(1 + λ)."""
    rates, larger = rates_of(state.schedule, state.rate), ALPHA * (1 + state.rate)
    delta, twin, plain = run(rates), run((0.0,) * STEPS, larger), run((0.0,) * STEPS)
    put = np.array([0.0, *rates[: state.t], *[0.0] * (STEPS - state.t)])
    inside = np.array(left(rates[: state.t]) + [0.0] * (STEPS - state.t))
    sigma = singular_values(delta.ways[state.t]).numpy()
    share = float((sigma[: 2 * RANK] ** 2).sum() / (sigma**2).sum()) if sigma.any() else 1.0
    distance = (twin.weights[state.t] - twin.weights[0]).norm()
    apart = float((delta.weights[state.t] - twin.weights[state.t]).norm() / distance) if state.t else 0.0
    apart = apart if apart > SAME else 0.0
    unit = state.rate or 1.0
    return Result(
        put / unit,
        inside / unit,
        sigma,
        delta.ranks,
        torch.stack([delta.misses, twin.misses, plain.misses]).numpy(),
        f"{larger:g}",
        RANK,
        share,
        apart,
        _sentence(state, delta.ranks[state.t], share, apart, f"LoRA with α = {larger:g}"),
    )


def still(state: State, result: Result) -> "Figure":
    """Draw the weights and the singular values without a browser."""
    figure = style.figure(5.2, 2.9)
    figure.suptitle(result.sentence, color=style.NEUTRAL.text, fontsize=8, x=0.01, ha="left", wrap=True)
    colour = style.variant("Delta-LoRA").light
    axes = style.axes(figure, "", "product P_u", "weight left in W₀, over λ", (1, 2, 1))
    axes.bar(range(STEPS + 1), result.put, facecolor="none", edgecolor=colour, linestyle=":", linewidth=0.7)
    axes.bar(range(STEPS + 1), result.left, color=colour)
    axes = style.axes(figure, "", "direction i", "σᵢ of W₀'s way", (1, 2, 2))
    places = np.flatnonzero(result.sigma)
    axes.plot(places + 1, result.sigma[places], "o", color=colour, markersize=4)
    axes.set_yscale("log")
    axes.set_ylim(1e-6, 30)
    axes.set_xlim(0, len(result.sigma) + 1)
    return figure


def _sentence(state: State, rank: int, share: float, apart: float, larger: str) -> str:
    steps = f"λ = {state.rate:g}, after {state.t} step{'s' if state.t != 1 else ''}:"
    if not state.t:
        return f"{steps} nothing has moved yet."
    where = f"W is {apart:.0%} away from that of {larger}" if apart else f"W is that of {larger}"
    if not rank:
        return f"{steps} W₀ has not moved. {where}."
    energy = f"{share:.1%}" if share < 0.9995 else "more than 99.9%"
    most = f", with {energy} of its energy in {2 * RANK} directions" if rank > 2 * RANK else ""
    return f"{steps} W₀ has moved by a matrix of rank {rank}{most}. {where}."
