"""Allocation explorer: every triplet of the model as a dot at its score, the cut through all of them, the budget.

The runs are recorded (`lorabook.arena.allocation_runs`): AdaLoRA on the Bible from rank 6 everywhere, seed 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np

from lorabook.arena import cut_runs
from lorabook.arena.allocation_runs import FINALS, TARGETS, WARM_UPS, AllocationRun
from lorabook.arena.allocation_runs import read as read_runs
from lorabook.arena.allocation_trace import TIMES
from lorabook.arena.allocation_ways import EVERY, FINAL, SCORE, TARGET, WARM_UP, R, matrices
from lorabook.arena.tasks import KJV
from lorabook.axes.rule.schedule import CubicBudget
from lorabook.book import style
from lorabook.book.explore.explorer import Explorer, tabled_explorer
from lorabook.book.explore.state import Steps, control

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class State:
    """The step that is looked at, and the plan of the run: its budget at the end and its two phases."""

    t: int = control(10, Steps("step t", TIMES))
    target: int = control(TARGET, Steps("mean rank", TARGETS))
    warm_up: int = control(WARM_UP, Steps("warm-up", WARM_UPS))
    final: int = control(FINAL, Steps("final phase", FINALS))


@dataclass(frozen=True)
class Result:
    """What the allocator sees after step t: a row a matrix, a column a triplet.

    scores: log₁₀ S; lives: 0 masked, 1 lives, 2 lives and did not when it was last looked at; cut: between the two
    scores that the last choice came between, None before the first one. budget: b(t) at every step; living: how many
    triplets live after each.
    """

    matrices: tuple[str, ...]
    scores: np.ndarray
    lives: np.ndarray
    ranks: tuple[int, ...]
    cut: float | None
    budget: np.ndarray
    living: np.ndarray
    uniform: int
    sentence: str


@dataclass(frozen=True)
class Recorded:
    """The runs by (target, warm-up, final), and where LoRA of each mean rank ends with the same seed."""

    runs: Mapping[tuple[int, int, int], AllocationRun]
    lora: Mapping[int, float]


def allocation() -> Explorer:
    """Return the allocation explorer, on the record that the book ships."""
    return explore_allocation(gathered(read_runs(), cut_runs.read()))


def explore_allocation(recorded: Recorded) -> Explorer:
    """Return the allocation explorer of these runs."""
    return tabled_explorer("allocation", State(), partial(compute, recorded=recorded), still)


def gathered(runs: Sequence[AllocationRun], loras: Sequence[cut_runs.CutRun]) -> Recorded:
    """Return the runs that were traced, and LoRA's of seed 0 at their best rates.

    Raises:
        ValueError: a plan that the controls offer has no traced run.
    """
    traced = {(a.target, a.warm_up, a.final): run for run in runs if run.trace for a in (run.asked,) if a.way == SCORE}
    asked = [(target, warm_up, final) for target in TARGETS for warm_up in WARM_UPS for final in FINALS]
    if missing := [plan for plan in asked if plan not in traced]:
        raise ValueError(
            f"no traced run has the target, warm-up and final phase {missing[0]}: "
            "lorabook.arena.allocation_runs.record() trains what is missing"
        )
    return Recorded(traced, {r: _end_of_lora(loras, f"LoRA r={r}") for r in TARGETS})


def _end_of_lora(loras: Sequence[cut_runs.CutRun], side: str) -> float:
    at = side, cut_runs.tuned(loras, side), 0
    (run,) = [run for run in loras if run.key == at]
    return run.scores[cut_runs.SIDES[side].tuned_for][-1]


def compute(state: State, recorded: Recorded) -> Result:
    """Pick the run of a plan, and what was seen after a step."""
    run = recorded.runs[state.target, state.warm_up, state.final]
    place = TIMES.index(state.t)
    scores, lives = run.trace.log_scores[place], run.trace.lives[place]
    names, whole = matrices()[: len(scores)], lives.size
    budget, living = _planned(whole, state.target * len(scores), state.warm_up, state.final)
    back = lives & ~run.trace.lives[max(0, place - 1)]
    ranks = tuple(int(k) for k in lives.sum(1))
    cut = None if lives.all() else float((scores[lives].min() + scores[~lives].max()) / 2)
    empty = ranks.count(0)
    sentence = (
        f"After step {state.t} of {KJV.steps - 1}: {lives.sum()} of {whole} triplets live, and {empty} of "
        f"{len(ranks)} matrices have none. This run ends at {run.score:.2f} nats per token; "
        f"LoRA of rank {state.target}, same seed, at {recorded.lora[state.target]:.2f}."
    )
    return Result(names, scores, lives.astype(np.uint8) + back, ranks, cut, budget, living,
                  state.target * len(scores), sentence)  # fmt: skip


@cache
def _planned(start: int, target: int, warm_up: int, final: int) -> tuple[np.ndarray, np.ndarray]:
    """Return b(t) at every step, and how many triplets live after it: b of the last choice."""
    plan = CubicBudget(KJV.steps, warm_up, final, EVERY)
    budget = np.array([plan.budget(t, start, target) for t in range(KJV.steps)])
    last = np.maximum.accumulate([t if plan.reallocates(t) else 0 for t in range(KJV.steps)])
    return budget, budget[last]


def still(state: State, result: Result) -> "Figure":
    """Draw dots and budget without a browser."""
    figure = style.figure(7.2, 3.2)
    figure.suptitle(result.sentence, color=style.NEUTRAL.text, fontsize=8, x=0.01, ha="left", wrap=True)
    dots = style.axes(figure, "", "matrix, seven a layer", "log₁₀ of the score S", (1, 2, 1))
    x = np.arange(len(result.ranks))[:, None] + np.linspace(-0.3, 0.3, R)
    lives = result.lives > 0
    dots.plot(x[lives], result.scores[lives], "o", color=style.TRAINABLE.light, markersize=3)
    dots.plot(x[~lives], result.scores[~lives], "o", color=style.FROZEN.light, markersize=3, fillstyle="none")
    if result.cut is not None:
        dots.axhline(result.cut, color=style.NEUTRAL.text, linestyle="--", linewidth=1)
    plot = style.axes(figure, "", "step t", "triplets that live", (1, 2, 2))
    plot.step(range(len(result.living)), result.living, color=style.TRAINABLE.light, where="post")
    plot.axhline(result.uniform, color=style.NEUTRAL.text, linestyle=":", linewidth=1)
    plot.plot(state.t, result.living[state.t], "o", color=style.NEUTRAL.text, markersize=5)
    plot.set_ylim(0, None)
    return figure
