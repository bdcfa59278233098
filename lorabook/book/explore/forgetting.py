"""Forgetting explorer: three texts learned in turn, what each step does to the texts before, and how apart the A's are.

The angle between a new A_t and the rows of an earlier A_i is φ with cos²φ = ‖A_tP_i‖²/‖A_t‖², P_i the projector on row(A_i):
90° if A_t reads nothing that A_i reads, 0° if nothing else. Random rows have cos²φ = r/d_in on average.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lorabook.arena.turns import BASE, NEW, PROJECTED, TASKS, WAYS, WEIGHTS, TrainedOn
from lorabook.arena.turns_record import Row, forgotten, read, reported
from lorabook.book import style
from lorabook.book.explore.explorer import Explorer, tabled_explorer
from lorabook.book.explore.state import Choice, Steps, control

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PULLED = "O-LoRA, penalty"
ON = TrainedOn.name
CHOICES = (ON, NEW, PULLED, PROJECTED)
D_IN = 192
"""Inputs of every adapted layer but down_proj, which has 512."""


@dataclass(frozen=True)
class State:
    """How the model goes on from task to task, the weight of the penalty, and the rank."""

    way: str = control(ON, Choice("the next task gets", CHOICES))
    weight: float = control(WEIGHTS[0], Choice("λ", WEIGHTS))
    r: int = control(64, Steps("rank r", ()))


@dataclass(frozen=True)
class Result:
    """Means over the seeds.

    loss, spread: nats per token of a text (row) at a moment (column), and half of what the seeds span.
    damage: how far it is above what it was right after it was learned; 0 before that.
    angles: between the A's of tasks 1 and 2, 1 and 3, 2 and 3, in degrees; `by_chance` is that of random rows.
    taken: of 192 directions, by each task; reached: the share of task 1's inputs that lies in row(A_1).
    """

    texts: tuple[str, ...]
    loss: np.ndarray
    spread: np.ndarray
    damage: np.ndarray
    angles: np.ndarray
    by_chance: float
    taken: tuple[int, ...]
    reached: float
    lr: float
    penalised: bool
    sentence: str


def forgetting() -> Explorer:
    """Return the explorer of the recorded runs."""
    return explore_rows(read())


def explore_rows(rows: Sequence[Row]) -> Explorer:
    """Return the explorer of these runs."""
    found = reported(rows)
    ranks = tuple(sorted({r for _, r in found}))
    given = {"r": Steps("rank r", ranks)}
    return tabled_explorer("forgetting", State(r=ranks[-1]), partial(compute, found=found), still, given=given)


def way_of(state: State) -> str:
    """Return the name that the record has for a state's way."""
    return f"O-LoRA, λ = {state.weight:g}" if state.way == PULLED else state.way


def compute(state: State, found: Mapping[tuple[str, int], Sequence[Row]]) -> Result:
    """Take the means of a way and a rank over its seeds."""
    rows = found[way_of(state), state.r]
    runs = [row.run for row in rows]
    all_losses = np.array([run.matrix for run in runs])
    loss, spread = all_losses.mean(0), np.ptp(all_losses, 0) / 2
    damage = np.triu(loss - loss.diagonal()[:, None], 1)
    by_chance = _angle((6 * min(1.0, state.r / D_IN) + state.r / 512) / 7)
    angles = _angle(np.array([run.inside for run in runs]).mean(0))
    taken = (state.r,) * (1 if isinstance(WAYS.get(state.way), TrainedOn) else len(TASKS))
    lost = np.array([forgotten(run) for run in runs]).mean(1)
    sentence = (
        f"{way_of(state)}, rank {state.r}: {TASKS[0]} is learned to {loss[1, 1]:.2f} nats and ends at {loss[1, -1]:.2f}. "
        f"The first two tasks lose {lost.mean():.2f} nats on average ({lost.min():.2f} to {lost.max():.2f} over "
        f"{len(rows)} seeds)."
    )
    reached = float(np.mean([run.reached for run in runs]))
    return Result(
        (BASE, *TASKS), loss, spread, damage, angles, float(by_chance), taken, reached, rows[0].lr, state.way == PULLED,
        sentence,
    )  # fmt: skip


def still(state: State, result: Result) -> "Figure":
    """Draw the matrix without a browser."""
    figure = style.figure(width=5.2, height=2.8)
    axes = style.axes(figure, result.sentence, "after", "")
    axes.grid(False)
    axes.imshow(result.damage, cmap="Oranges", vmin=0, vmax=6, alpha=0.6, aspect="auto")
    for i, row in enumerate(result.loss):
        for j, value in enumerate(row):
            weight = "bold" if i == j else "normal"
            axes.text(
                j, i, f"{value:.2f}", ha="center", va="center", color=style.NEUTRAL.text, weight=weight, fontsize=9
            )
    axes.set_xticks(range(len(result.texts)), ["before", *TASKS])
    axes.set_yticks(range(len(result.texts)), result.texts)
    return figure


def _angle(share: np.ndarray | float) -> np.ndarray:
    return np.degrees(np.arccos(np.sqrt(np.clip(share, 0, 1))))
