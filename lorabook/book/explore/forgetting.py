"""Forgetting explorer: three texts learned in turn, what each does to the texts before, and how apart the A's are.

The angle between a new A_t and the rows of an earlier A_i is φ with cos²φ = ‖A_tP_i‖²/‖A_t‖², P_i the projector on
row(A_i): 90° if A_t reads nothing that A_i reads, 0° if nothing else. Random rows have cos²φ = r/d_in on average.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lorabook.arena.turns import BASE, ON, TASKS
from lorabook.arena.turns_record import RATES, TUNING_SEED, WAYS_AT, Row, read
from lorabook.book import style
from lorabook.book.explore.explorer import Explorer, tabled_explorer
from lorabook.book.explore.state import Choice, Steps, control

if TYPE_CHECKING:
    from matplotlib.figure import Figure

D_IN = 192
"""Inputs of every adapted layer but down_proj, which has 512."""


@dataclass(frozen=True)
class State:
    """How the model goes on from task to task, the rank, and the rate."""

    way: str = control(ON, Choice("the next task gets", WAYS_AT[8]))
    r: int = control(64, Steps("rank r", ()))
    lr: float = control(RATES[-1], Steps("learning rate", RATES))


@dataclass(frozen=True)
class Result:
    """Means over the seeds: three at the rate that is best for the end, one at every other.

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
    seeds: int
    sentence: str


def forgetting() -> Explorer:
    """Return the explorer of the recorded runs."""
    return explore_rows(read())


def explore_rows(rows: Sequence[Row]) -> Explorer:
    """Return the explorer of these runs."""
    found = by_state(rows)
    ranks = tuple(sorted({row.r for row in rows}))
    given = {"r": Steps("rank r", ranks)}
    return tabled_explorer("forgetting", State(r=ranks[-1]), partial(compute, found=found), still, given=given)


def by_state(rows: Sequence[Row]) -> dict[State, list[Row]]:
    """Return the runs of each state: those of the reported seeds where there are any, else that of the search."""
    found: dict[State, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.seed):
        some = found.setdefault(State(row.way, row.r, row.lr), [])
        if row.seed != TUNING_SEED or not some:
            some.append(row)
    return found


def compute(state: State, found: Mapping[State, Sequence[Row]]) -> Result:
    """Take the means of a way, a rank and a rate over its seeds."""
    rows = found[state]
    runs = [row.run for row in rows]
    all_losses = np.array([run.matrix for run in runs])
    loss, spread = all_losses.mean(0), np.ptp(all_losses, 0) / 2
    damage = np.triu(loss - loss.diagonal()[:, None], 1)
    by_chance = (6 * min(1.0, state.r / D_IN) + state.r / 512) / 7  # of the seven projections down_proj is the wide one
    *angles, chance = _angle(np.array([*np.mean([run.inside for run in runs], axis=0), by_chance]))
    taken = (state.r,) * (1 if state.way == ON else len(TASKS))
    ends = all_losses[:, 1:, -1].mean(1)
    seeds = "one seed" if len(rows) == 1 else f"{ends.min():.2f} to {ends.max():.2f} over {len(rows)} seeds"
    sentence = (
        f"{state.way}, rank {state.r}, rate {state.lr:g}: {TASKS[0]} is learned to {loss[1, 1]:.2f} nats and ends at "
        f"{loss[1, -1]:.2f}. The mean of the three at the end is {ends.mean():.2f} ({seeds})."
    )
    reached = float(np.mean([run.reached for run in runs]))
    return Result(
        (BASE, *TASKS), loss, spread, damage, np.array(angles), float(chance), taken, reached, len(rows), sentence
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


def _angle(share: np.ndarray) -> np.ndarray:
    return np.degrees(np.arccos(np.sqrt(np.clip(share, 0, 1))))
