"""Privacy explorer: ε over the rounds of a federation, and beside it what was learned, at every rank.

ε is the accountant's, for σ, N, L and the rounds. The losses are recorded runs with the noise σ/L; below the least
noise that was recorded they are that one's, and the sentence says so. They depend on N in nothing.
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lorabook.arena import epsilons
from lorabook.arena.epsilons import CLIENTS, COHORTS, Epsilons
from lorabook.arena.federated_losses import Losses, gathered
from lorabook.arena.federated_runs import DYLORA, NOISES, RANKS, ROUNDS, TRAINED, read
from lorabook.book import style
from lorabook.book.explore.explorer import Explorer, tabled_explorer
from lorabook.book.explore.state import Steps, control, folded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NONE = 100.0
"""Where ε is drawn when it is this large, or not finite."""
LOW, TOP = 3.8, 4.45
"""Losses outside are not drawn: the base stands at 4.32."""


@dataclass(frozen=True)
class State:
    """Noise multiplier σ, clients a round L, clients in all N, rounds, and the rank that is read off."""

    sigma: float = control(2.0, Steps("noise multiplier σ", (0.0, *epsilons.SIGMAS)))
    cohort: int = control(128, Steps("clients a round, L", COHORTS))
    clients: int = control(2048, Steps("clients in all, N", CLIENTS))
    rounds: int = control(16, Steps("rounds", ROUNDS))
    r: int = folded(1, Steps("rank to serve", RANKS))


@dataclass(frozen=True)
class Result:
    """`epsilon` after each of `rounds`; losses on unseen clients' text, rows mean, least and most, a column a rank.

    `lora` was trained at each of `trained`; `quiet_…` are the means without noise.
    """

    rounds: tuple[int, ...]
    epsilon: np.ndarray
    private: bool
    ranks: tuple[int, ...]
    trained: tuple[int, ...]
    dylora: np.ndarray
    lora: np.ndarray
    quiet_dylora: np.ndarray
    quiet_lora: np.ndarray
    start: float
    sentence: str


def private_federation() -> Explorer:
    """Return the privacy explorer, on the record that the book ships."""
    return explore_privacy(gathered(read()), epsilons.read())


def explore_privacy(losses: Losses, spent: Epsilons) -> Explorer:
    """Return the privacy explorer of these losses and these ε."""
    return tabled_explorer("privacy", State(), partial(compute, losses=losses, spent=spent), still)


def recorded_noise(z: float) -> float:
    """Return the least recorded noise that is not below z."""
    return min(noise for noise in NOISES if noise >= z)


def compute(state: State, losses: Losses, spent: Epsilons) -> Result:
    """Look up ε and the losses, and say both in a sentence."""
    private, cohort = state.sigma > 0, min(state.cohort, state.clients)
    epsilon = np.array(spent[state.clients, cohort, state.sigma] if private else [NONE] * len(epsilons.ROUNDS))
    noise = recorded_noise(state.sigma / cohort)
    dylora, lora = losses.at(DYLORA, noise, state.rounds), losses.lora(noise, state.rounds)
    here = epsilon[epsilons.ROUNDS.index(state.rounds)]
    budget = f"ε = {here:.3g} at δ = {epsilons.delta(state.clients):.0e}" if private else "no noise, no finite ε"
    beside = f", LoRA {lora[0, TRAINED.index(state.r)]:.2f}" if state.r in TRAINED else ""
    z = state.sigma / cohort
    louder = "" if noise == z else f" (recorded with more noise, σ/L = 1/{1 / noise:g} for 1/{1 / z:,.0f})"
    sentence = (
        f"{state.rounds} rounds of {cohort:,} clients out of {state.clients:,}: {budget}. Rank {state.r}{louder}: "
        f"DP-DyLoRA {dylora[0, RANKS.index(state.r)]:.2f}{beside} nats per token; the base {losses.start:.2f}."
    )
    return Result(
        epsilons.ROUNDS, epsilon.clip(max=NONE), private, RANKS, TRAINED, dylora, lora,
        losses.at(DYLORA, 0.0, state.rounds)[0],
        losses.lora(0.0, state.rounds)[0], losses.start, sentence,
    )  # fmt: skip


def still(state: State, result: Result) -> "Figure":
    """Draw both panels without a browser."""
    figure = style.figure(5.2, 3.4)
    grey = style.NEUTRAL.text
    style.sentence_above(figure, result.sentence)
    left = style.axes(figure, "", "rounds", "ε (log scale)", (1, 2, 1))
    left.plot(result.rounds, result.epsilon, color=grey, marker="o", markersize=4)
    left.set_yscale("log")
    left.set_ylim(0.02, 1.3 * NONE)
    left.axvline(state.rounds, color=grey, linewidth=0.6)
    right = style.axes(figure, "", "rank", "loss of unseen clients, nats per token", (1, 2, 2))
    sides = (("DyLoRA", RANKS, result.dylora, result.quiet_dylora), ("LoRA", TRAINED, result.lora, result.quiet_lora))
    for name, ranks, values, quiet in sides:
        look = style.variant(name)
        dash, marker = style.MATPLOTLIB_DASH[look.dash], style.MATPLOTLIB_MARKER[look.marker]
        right.plot(
            ranks,
            values[0],
            color=look.light,
            linestyle=dash,
            marker=marker,
            markersize=5,
            label=name.replace("Dy", "DP-Dy"),
        )
        right.plot(ranks, quiet, color=look.light, linestyle=":", linewidth=1.2)
        right.fill_between(ranks, values[1], values[2], color=look.light, alpha=0.16, linewidth=0)
    right.axhline(result.start, color=grey, linewidth=0.8, linestyle="--")
    right.text(RANKS[-1], result.start, "the base", color=grey, fontsize=8, ha="right", va="bottom")
    right.set_title("dots: without noise", color=grey, fontsize=9, loc="left")
    right.set_xscale("log")
    right.minorticks_off()
    right.set_xticks(RANKS, [str(r) for r in RANKS])
    right.set_ylim(LOW, TOP)
    right.legend(frameon=False, labelcolor=grey, fontsize=8)
    return figure
