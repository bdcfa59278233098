"""Measured: a variant beside LoRA and full fine-tuning, out of the arena's record; any row runs again on the spot."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from lorabook.arena.answers import Answers, Compared, read
from lorabook.arena.budget import budgets_of, method_named
from lorabook.arena.job import Row
from lorabook.arena.methods import BASELINE
from lorabook.arena.plan import grouped
from lorabook.arena.record import Record
from lorabook.arena.summary import Summary, reported, summaries
from lorabook.arena.tasks import KJV, TASKS
from lorabook.book import style
from lorabook.book.explore.again import run_again
from lorabook.book.explore.explorer import Action, Explorer, tabled_explorer
from lorabook.book.explore.state import Choice, control

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FULL = "full fine-tuning"


@dataclass(frozen=True)
class State:
    """Which task is shown."""

    task: str = control(KJV.name, Choice("task", tuple(task.name for task in TASKS)))


@dataclass(frozen=True)
class Line:
    """A contender at its tuned rate; numbers as in `Summary`, the step's time over LoRA's, and every seed's score."""

    name: str
    label: str
    lr: float
    mean: float
    spread: float
    scores: tuple[float, ...]
    trained: int
    backward_bytes: int
    optimizer_bytes: int
    step_ratio: float
    forgotten: float


@dataclass(frozen=True)
class Result:
    """The lines of a task, the score before adapting, what the score counts, and one sentence."""

    lines: tuple[Line, ...]
    start: float
    unit: str
    sentence: str


def measured(*names: str, record: Record | None = None) -> Explorer:
    """Return the table of these contenders beside LoRA and full fine-tuning.

    Raises:
        ValueError: there is no such contender, or the record has nobody of them yet.
    """
    record = record or Record()
    rows, answers = record.rows(), read(record.folder)
    wanted = dict.fromkeys((BASELINE, *(method_named(name).name for name in names), FULL))
    chosen = [row for row in rows if row.method in wanted]
    tables = {task.name: _lines(chosen, task.name, list(wanted)) for task in TASKS}
    there = tuple(task for task, lines in tables.items() if lines)
    if not there:
        raise ValueError(f"the record has no tuned row of {', '.join(wanted)} yet: run `lorabook arena`")
    compute = partial(_compute, tables=tables, starts=_starts(chosen), names=names, answers=answers)
    view = tabled_explorer("measured", State(there[0]), compute, still, given={"task": Choice("task", there)})
    view.set_actions({name: Action(f"Run {name} again", _again(view, chosen, name)) for name in wanted})
    return view


def _compute(
    state: State, tables: dict[str, tuple[Line, ...]], starts: dict[str, float], names: Sequence[str], answers: Answers
) -> Result:
    unit = next(task.unit for task in TASKS if task.name == state.task)
    about = [each for each in answers.comparisons if each.task == state.task and each.method in names]
    lines = tables[state.task]
    return Result(lines, starts[state.task], unit, _sentence(state.task, unit, lines, about))


def _sentence(task: str, unit: str, lines: Sequence[Line], about: list[Compared]) -> str:
    """Say the decision where there is one, and else what LoRA reaches."""
    told = [_decided(each) for each in about if each.budget == "equal"]
    if told:
        return f"On {task}, ten seeds at each one's tuned rate, {_budget(lines, about)}: {'; '.join(told)}."
    return f"On {task}, at each one's tuned rate: " + ", ".join(f"{x.label} {x.mean:.3f}" for x in lines) + f" {unit}."


def _budget(lines: Sequence[Line], about: list[Compared]) -> str:
    """Say "at equal parameters" only where they are: some contenders have no size that trains as many as LoRA."""
    trained = {line.name: line.trained for line in lines if line.label == line.name}
    shares = {each.method: trained[each.method] / trained[BASELINE] for each in about if each.budget == "equal"}
    fewer = [f"{name} with {share:.0%} of {BASELINE}'s parameters" for name, share in shares.items() if share < 0.8]
    return ", ".join(fewer) or "at equal parameters"


def _decided(each: Compared) -> str:
    if each.says in ("better", "worse"):
        return f"{each.method} is {each.says} than {BASELINE} by {abs(each.difference):.3f} (p = {each.p:.1g})"
    return f"no difference found between {each.method} and {BASELINE} (of {each.visible:.3f} and more would have been)"


def _lines(rows: Sequence[Row], task: str, names: list[str]) -> tuple[Line, ...]:
    groups = grouped(rows)
    found = sorted(
        (each for each in summaries(rows) if each.place.task == task),
        key=lambda each: (names.index(each.place.method), each.place.budget),
    )
    # A record's ratio is to a step of LoRA beside it; LoRA's own says how far off 1 that comes out.
    of_lora = next((each.step_ratio for each in found if each.place.method == BASELINE), 1.0)
    return tuple(_line(each, tuple(row.score for row in reported(groups[each.place])), of_lora) for each in found)


def _line(summary: Summary, scores: tuple[float, ...], of_lora: float) -> Line:
    name, budget = summary.place.method, summary.place.budget
    second = budget == "own" and "equal" in budgets_of(method_named(name))
    size = f", its paper's size {summary.size}" if second else ""
    return Line(
        name, name + size, summary.lr, summary.mean, summary.spread, scores, summary.trained, summary.backward_bytes,
        summary.optimizer_bytes, summary.step_ratio / of_lora, summary.forgotten,
    )  # fmt: skip


def _starts(rows: Sequence[Row]) -> dict[str, float]:
    return {row.task: row.start for row in rows if row.start is not None}


def _again(view: Explorer, rows: Sequence[Row], name: str) -> Callable[[], None]:
    """Return what trains a contender once more on the task that is shown, and says how it ended."""

    def run() -> None:
        task = view.state.task
        best = {row.job: row for group in grouped(rows).values() for row in reported(group)}
        row = next((row for row in best.values() if row.method == name and row.task == task), None)
        if row is None:
            view.status = f"{name} has no row on {task} in the record."
            return
        run_again(view, row)

    return run


def still(state: State, result: Result) -> "Figure":
    """Draw the scores without a browser."""
    figure = style.figure(5.2, 1.3 + 0.3 * len(result.lines))
    style.sentence_above(figure, result.sentence)
    axes = style.axes(figure, "", f"{result.unit}, lower is better; a tick a seed", "")
    places = range(len(result.lines), 0, -1)
    for place, line in zip(places, result.lines, strict=True):
        colour = style.NEUTRAL.text if line.name == FULL else style.variant(line.name).light
        axes.plot(line.scores, [place] * len(line.scores), "|", color=colour, markersize=9)
        axes.plot([line.mean], [place], "o", color=colour)
    axes.set_yticks(list(places), [line.label for line in result.lines])
    axes.set_ylim(0.5, len(result.lines) + 0.5)
    return figure
