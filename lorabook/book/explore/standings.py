"""Standings: every contender of the arena against LoRA, beside what it costs; any row runs again on the spot."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from lorabook.arena.answers import Compared, read
from lorabook.arena.job import Row
from lorabook.arena.methods import BASELINE, METHODS
from lorabook.arena.plan import Place, baseline, grouped, places
from lorabook.arena.record import Record
from lorabook.arena.summary import Summary, reported, summaries
from lorabook.arena.tasks import KJV, ON_SMOLLM2, TASKS
from lorabook.book import style
from lorabook.book.explore.again import run_again
from lorabook.book.explore.explorer import Action, Explorer, tabled_explorer
from lorabook.book.explore.state import Choice, control, folded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COSTS: dict[str, tuple[str, Callable[[Summary], float | None]]] = {
    "trained numbers": ("numbers", lambda s: s.trained),
    "kept for backward": ("bytes", lambda s: s.backward_bytes),
    "time of a step": ("LoRA = 1", lambda s: s.step_ratio),
    "forgotten": ("nats", lambda s: s.forgotten),
    "‖ΔW‖": ("", lambda s: s.moved),
    "effective rank of ΔW": ("", lambda s: s.rank),
    "tuned rate": ("", lambda s: s.lr),
    "lost at LoRA's rate": ("", lambda s: s.regret),
    "rates near the best": ("rates", lambda s: s.plateau),
}
"""What stands beside the loss: its unit, and where a summary has it."""
LOSS, NAME = "loss", "name"
ALL = "all"
ARENA = (*TASKS, ON_SMOLLM2)


@dataclass(frozen=True)
class State:
    """What is shown, in which order, and which row is marked."""

    task: str = control(KJV.name, Choice("task", tuple(task.name for task in ARENA)))
    beside: str = control("trained numbers", Choice("beside it", tuple(COSTS)))
    order: str = control(LOSS, Choice("sorted by", (LOSS, "what stands beside it", NAME)))
    row: str = control("DoRA", Choice("row", tuple(method.name for method in METHODS)))
    budget: str = folded("equal", Choice("budget", ("equal", "own", ALL)))


@dataclass(frozen=True)
class Line:
    """A contender with a budget: its loss minus LoRA's on the same seeds, mean and spread; what was decided; a cost.

    says: "better", "worse", "no difference found", or "" where nothing was decided or it is LoRA itself.
    """

    name: str
    label: str
    difference: float
    spread: float
    says: str
    cost: float | None


@dataclass(frozen=True)
class Result:
    """The lines in their order, the units of both columns, and one sentence about the marked row."""

    lines: tuple[Line, ...]
    unit: str
    cost_unit: str
    sentence: str


@dataclass(frozen=True)
class Found:
    """What the record says of one place."""

    summary: Summary
    difference: float
    spread: float
    decided: Compared | None

    @property
    def label(self) -> str:
        """The contender's name, and its budget where that is its paper's own beside an equal one."""
        return self.summary.place.method + (", own size" if self.summary.place.budget == "own" else "")


def standings(record: Record | None = None) -> Explorer:
    """Return every contender against LoRA, task by task.

    Raises:
        ValueError: the record has no tuned row of LoRA yet.
    """
    record = record or Record()
    rows = record.rows()
    found = _found(rows, read(record.folder).comparisons)
    there = tuple(task.name for task in ARENA if any(each.summary.place.task == task.name for each in found))
    if not there:
        raise ValueError("the record has no tuned row of LoRA yet: run `lorabook arena`")
    known = {each.summary.place.method for each in found}
    names = tuple(method.name for method in METHODS if method.name in known)
    given = {"task": Choice("task", there), "row": Choice("row", names)}
    view = tabled_explorer("standings", State(there[0]), partial(_compute, found=found), still, given=given)
    view.set_actions({"again": Action("Run the marked row again", _again(view, rows))})
    return view


def _found(rows: Sequence[Row], comparisons: Sequence[Compared]) -> list[Found]:
    groups, decided = grouped(rows), {each.place: each for each in comparisons}
    contenders = set(places(METHODS, ARENA, ("equal", "own")))
    found = []
    for summary in summaries(row for row in rows if Place(row.method, row.task, row.budget) in contenders):
        lora = {row.seed: row.score for row in reported(groups[baseline(summary.place.task)])}
        gaps = [row.score - lora[row.seed] for row in reported(groups[summary.place]) if row.seed in lora]
        if len(gaps) >= 2:
            mean, spread = statistics.fmean(gaps), statistics.stdev(gaps)
            found.append(Found(summary, mean, spread, decided.get(summary.place)))
    return found


def _compute(state: State, found: Sequence[Found]) -> Result:
    task = next(task for task in ARENA if task.name == state.task)
    unit, cost_of = COSTS[state.beside]
    here = [each for each in found if each.summary.place.task == task.name and _asked(each.summary.place, state)]
    keys: Mapping[str, Callable[[Found], object]] = {
        LOSS: lambda each: each.difference,
        NAME: lambda each: each.label.casefold(),
    }
    here.sort(key=keys.get(state.order, lambda each: (cost_of(each.summary) is None, cost_of(each.summary))))
    lines = tuple(
        Line(
            each.summary.place.method, each.label, round(each.difference, 4), round(each.spread, 4),
            each.decided.says if each.decided else "", cost_of(each.summary),
        )
        for each in here
    )  # fmt: skip
    marked = [each for each in here if each.summary.place.method == state.row]
    return Result(lines, task.unit, unit, _sentence(state, task.unit, marked))


def _asked(place: Place, state: State) -> bool:
    """LoRA and what has one budget only are always there."""
    only = sum(1 for budget in ("equal", "own") if Place(place.method, place.task, budget) in _BOTH) == 1
    return place.method == BASELINE or only or state.budget in (ALL, place.budget)


_BOTH = set(places(METHODS, ARENA, ("equal", "own")))


def _sentence(state: State, unit: str, marked: Sequence[Found]) -> str:
    if not marked:
        return f"{state.row} has no row on {state.task} with this budget."
    found = marked[0]
    summary, decided = found.summary, found.decided
    if summary.place == baseline(state.task):
        ends = f"{summary.mean:.3f} ± {summary.spread:.3f} {unit}, {summary.seeds} seeds"
        return f"LoRA on {state.task}: {ends}. All others stand against it."
    gap = f"{found.difference:+.3f} ± {found.spread:.3f} {unit} against LoRA, {summary.seeds} seeds"
    if decided is None:
        verdict = "nothing is decided on so few"
    elif decided.says in ("better", "worse"):
        verdict = f"{decided.says} (p = {decided.p:.1g})"
    else:
        verdict = f"{decided.says} (of {decided.visible:.3f} and more would have been)"
    return f"{found.label} on {state.task}: {gap}: {verdict}."


def _again(view: Explorer, rows: Sequence[Row]) -> Callable[[], None]:
    """Return what trains the marked contender once more, on its first reporting seed, and says how it ended."""

    def run() -> None:
        state = view.state
        best = [
            row
            for place, group in sorted(grouped(rows).items())
            if (place.task, place.method) == (state.task, state.row) and state.budget in (ALL, place.budget)
            for row in reported(group)
        ]
        if not best:
            view.status = f"{state.row} has no row on {state.task} with this budget."
            return
        run_again(view, best[0])

    return run


def still(state: State, result: Result) -> "Figure":
    """Draw both columns without a browser."""
    figure = style.figure(5.2, 0.9 + 0.2 * len(result.lines))
    style.sentence_above(figure, result.sentence)
    left = style.axes(figure, "", f"against LoRA, {result.unit}", "", (1, 2, 1))
    right = style.axes(figure, state.beside, result.cost_unit, "", (1, 2, 2))
    right.locator_params(axis="x", nbins=4)
    places_ = range(len(result.lines), 0, -1)
    for place, line in zip(places_, result.lines, strict=True):
        colour = style.variant(line.name).light if line.name in style.VARIANTS else style.NEUTRAL.text
        ends = [line.difference - line.spread, line.difference + line.spread]
        left.plot(ends, [place, place], "-", color=colour)
        left.plot(
            [line.difference],
            [place],
            "o",
            color=colour,
            fillstyle="none" if not line.says or line.says.startswith("no") else "full",
        )
        if line.cost is not None:
            right.plot([line.cost], [place], "o", color=colour)
    left.axvline(0, color=style.NEUTRAL.quiet, linewidth=0.8)
    left.set_yticks(list(places_), [line.label for line in result.lines])
    right.set_yticks([])
    for axes in (left, right):
        axes.set_ylim(0.5, len(result.lines) + 0.5)
    return figure
