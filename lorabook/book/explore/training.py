"""Training explorer: choose a variant and its knobs, train it on the spot, and lay the runs over each other.

A run is one of the arena's: the same base, text, batches, steps and schedule, so with the recorded knobs it ends as
recorded. LoRA's recorded run is there from the start, and recorded full fine-tuning is the black dotted line.

    book.training_explorer("DoRA")
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from lorabook.arena.record import Record
from lorabook.book import style
from lorabook.book.explore import training_words as words
from lorabook.book.explore.explorer import Action, Explorer, explorer
from lorabook.book.explore.state import Control
from lorabook.book.explore.training_lines import Curve, labels, looks, of_line, of_row
from lorabook.book.explore.training_models import Model, book_models
from lorabook.book.explore.training_recorded import Recorded, recorded
from lorabook.book.explore.training_runs import Runs
from lorabook.book.explore.training_state import NONE, TINY, State, followed, is_full, off, ranges
from lorabook.book.explore.training_variants import FULL, LORA, VARIANTS
from lorabook.cost.count import decoder_parameters
from lorabook.models.fingerprint import fingerprint

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Drawn:
    """A line as the view draws and lists it."""

    curve: Curve
    label: str
    look: style.Stroke
    gain: words.Shares


@dataclass(frozen=True)
class Result:
    """What would train now, the lines to draw, how long a run takes and where numbers are from, and one sentence."""

    trained: int
    total: int
    lines: list[Drawn]
    steps: int
    running: bool
    done: int
    idle: list[str]
    off: list[str]
    note: str
    sentence: str


def training_explorer(variant: str = LORA) -> Explorer:
    """Return the training explorer, opened on a variant: its recorded size, its tuned rate, LoRA's run beside it.

    Raises:
        ValueError: there is no such variant; the message names all.
        FileNotFoundError: a data file of the shipped base is missing.
    """
    if variant not in VARIANTS:
        raise ValueError(f"no variant is called {variant!r}; they are {', '.join(VARIANTS)}")
    models, rows = book_models(), Record().rows()
    records = {name: recorded(rows, model.task.name, name) for name, model in models.items()}
    records[TINY] = records[TINY].made_with(fingerprint(models[TINY].task.base))
    return on_models(models, records, variant)


def on_models(models: Mapping[str, Model], records: Mapping[str, Recorded], variant: str = LORA) -> Explorer:
    """Return the training explorer on given bases and their records."""
    runs, first = Runs(models, records), records[TINY].knobs(variant, 0)
    warm_up()
    view = explorer("training", first, partial(compute, runs=runs), still, given=_ranges(first, runs))
    view.set_follow(partial(follow, runs))
    view.set_actions({
        "start": Action("Train", lambda: (runs.start(view.state, view), view.refresh())),
        "stop": Action("Stop", runs.stop),
        "clear": Action("Clear runs", lambda: (runs.clear(), view.refresh())),
    })  # fmt: skip
    _measure_once_seen(view, runs)
    return view


def _measure_once_seen(view: Explorer, runs: Runs) -> None:
    """Time a step of the chosen base when a browser shows the view: a chapter that is only executed needs no time."""

    def measure(_change: object = None) -> None:
        if runs.measure(view.values["model"], view):
            view.refresh()

    def hear(_view: Explorer, content: dict[str, Any], _buffers: object) -> None:
        if content.get("type") == "seen":
            view.observe(measure, "values")
            measure()

    view.on_msg(hear)


def follow(runs: Runs, before: State, now: State) -> tuple[State, dict[str, Control]]:
    """Return the knobs and their ranges: another variant or base brings its recorded size and tuned rate along."""
    if (before.variant, before.model) != (now.variant, now.model):
        own = runs.records[now.model].knobs(now.variant, now.seed)
        state = own if NONE in (own.targets, now.targets) else replace(own, targets=now.targets)
    else:
        state = followed(before, now)
    return state, _ranges(state, runs)


def _ranges(state: State, runs: Runs) -> dict[str, Control]:
    record = runs.records[state.model]
    return ranges(state, record.knobs(state.variant, state.seed), record.sizes(state.variant))


def compute(state: State, runs: Runs) -> Result:
    """Count what would train, and gather the runs of the chosen base, here and in the record."""
    model, record = runs.models[state.model], runs.records[state.model]
    steps = model.task.steps
    own = [of_line(line) for line in runs.lines if line.knobs.model == state.model]
    shown = [FULL, LORA, *([state.variant] if model.missing else [])]
    from_record = [found for name in dict.fromkeys(shown) if (found := _recorded(record, name, state.seed, steps))]
    curves = [*from_record, *own]
    start, named, drawn_as = runs.start_loss(state.model), labels(curves), looks(curves)
    gains = [
        words.shares(c, start, *(_rival(record, name, c.knobs.seed, steps, own) for name in (FULL, LORA)))
        for c in curves
    ]
    lines = [Drawn(*each) for each in zip(curves, named, drawn_as, gains, strict=True)]
    trained, total = state.trained(model.shape), decoder_parameters(model.shape)
    plan = words.plan(state, model.missing, trained / total)
    full = _rival(record, FULL, state.seed, steps, own)
    notes = [words.time_it_takes(state, runs), words.where_from(record, state, curves, full, model.missing)]
    return Result(
        trained, total, lines, steps, runs.running, len(own[-1].losses) if own and runs.running else 0,
        ["start", "clear"] if runs.running else ["stop"] if own else ["stop", "clear"], off(state),
        " ".join(filter(None, notes)), _sentence(lines, record, steps, plan) if own else plan,
    )  # fmt: skip


def _recorded(record: Recorded, variant: str, seed: int, steps: int) -> Curve | None:
    knobs = record.tuned(variant, seed)
    return None if knobs is None else of_row(record.rows[knobs], knobs, steps)


def _rival(record: Recorded, variant: str, seed: int, steps: int, own: list[Curve]) -> Curve | None:
    """Return the run that a line is measured against: the record's with its seed, else the last one here."""
    here = [curve for curve in own if curve.knobs.variant == variant and curve.score is not None]
    return _recorded(record, variant, seed, steps) or next(reversed(here), None)


def _sentence(lines: list[Drawn], record: Recorded, steps: int, plan: str) -> str:
    last = lines[-1]
    row = record.rows.get(last.curve.knobs)
    again = None if row is None else of_row(row, last.curve.knobs, steps)
    return words.of_line(last.curve, last.label, last.gain, steps, again)


def warm_up() -> None:
    """Take one optimiser step on nothing: a process's first one imports much of torch, and nothing moves meanwhile."""
    nothing = nn.Parameter(torch.zeros(1))
    nothing.grad = torch.zeros(1)
    torch.optim.AdamW([nothing]).step()


def still(state: State, result: Result) -> "Figure":
    """Draw the runs without a browser."""
    figure = style.figure()
    axes = style.axes(figure, result.sentence, "step", "training loss (nats per token)")
    for line in result.lines:
        full = is_full(line.curve.knobs)
        axes.plot(
            line.curve.x, line.curve.y, color=style.NEUTRAL.text if full else line.look.light, linewidth=1.2,
            linestyle=style.MATPLOTLIB_DASH[line.look.dash], label=line.label,
        )  # fmt: skip
    if result.lines:
        axes.legend(frameon=False, labelcolor=style.NEUTRAL.text, fontsize=8)
    return figure
