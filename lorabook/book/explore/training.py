"""Training explorer: choose a variant and its knobs, train it on the spot, and lay the runs over each other.

A run adapts the base to a text it has never seen, in a thread of its own; the curve streams ten times a second, and the
black dotted line is full fine-tuning. Runs with one seed see the same batches in the same order.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from lorabook.book import style
from lorabook.book.explore.explorer import Action, Explorer, explorer
from lorabook.book.explore.recorded import Recording, read_recording
from lorabook.book.explore.training_runs import Runs, warm_up
from lorabook.book.explore.training_state import FULL, MODELS, TARGETS, VARIANTS, Line, State
from lorabook.core.lora import ORIGIN
from lorabook.core.recipe import Recipe
from lorabook.core.schedule import constant
from lorabook.cost.count import decoder_parameters, matched
from lorabook.models.decoder import DecoderConfig
from lorabook.models.load import load
from lorabook.tasks.text import read, tokenize
from lorabook.tasks.train import Setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS = 60
"""Steps of a run: half a minute on two cores, and the recorded runs are as long, or they would compare with nothing."""

CHARACTERS = 600_000  # of the text: more than any run here reads, and tokenised in a second
NO_CUDA = "This machine has no CUDA device, so the GPU-sized model cannot be trained here."
NOT_RECORDED = "No run of it is recorded in this copy of the book."


@dataclass(frozen=True)
class Result:
    """What would train now, the runs to draw, the full fine-tuning that they are measured against, and one sentence.

    `gaps` has for each line the share of the way from the base (`start`) to full fine-tuning; `recorded` is true where
    the lines are not of this machine.
    """

    trained: int
    total: int
    lines: list[Line]
    gaps: list[float | None]
    recorded: bool
    reference: Line | None
    start: float | None
    steps: int
    running: bool
    note: str
    off: list[str]
    sentence: str


def training_explorer(steps: int = STEPS, seed: int = 0) -> Explorer:
    """Return the training explorer on the shipped base and, where there is a CUDA device, on the GPU-sized model.

    Raises:
        FileNotFoundError: a data file of the shipped base is missing.
    """
    recordings = {model: read_recording(model) for model in MODELS}
    gpu = partial(gpu_setting, steps) if torch.cuda.is_available() else None
    return on_settings(tiny_setting(steps), gpu, seed, recordings)


def tiny_setting(steps: int = STEPS) -> Setting:
    """Return the setting of the shipped base, on the CPU everywhere, so that its recorded runs compare."""
    return _setting("tiny", "cpu", batch=8, length=128, steps=steps)


def gpu_setting(steps: int = STEPS) -> Setting:
    """Return the setting of SmolLM2-135M on the CUDA device."""
    return _setting("smollm2", "cuda", batch=16, length=256, steps=steps)


def _setting(name: str, device: str, batch: int, length: int, steps: int) -> Setting:
    """Load a base, and the King James text, which it has never seen."""
    base = load(name, device=device)
    corpus = tokenize("kjv", read("kjv")[:CHARACTERS], base.tokenizer)
    return Setting(base, corpus, batch, length, steps, schedule=constant, pieces=32)


def on_settings(
    tiny: Setting, gpu: Callable[[], Setting] | None, seed: int, recordings: Mapping[str, Recording | None]
) -> Explorer:
    """Return the training explorer in given settings; for the arguments see `Runs`."""
    runs = Runs(tiny, gpu, seed, recordings)
    warm_up()
    view = explorer("training", State(), partial(compute, runs=runs), still)
    view.set_actions({
        "start": Action("Train", lambda: start(view.state, runs, view)),
        "stop": Action("Stop", runs.stop),
        "clear": Action("Clear runs", lambda: (runs.clear(), view.refresh())),
    })  # fmt: skip
    return view


def start(state: State, runs: Runs, view: Explorer) -> None:
    """Train what the controls say, in the background.

    Raises:
        ValueError: the model cannot be trained here.
        RuntimeError: a run is under way.
    """
    if not runs.can_train(state.model):
        raise ValueError(_note(state, runs))
    runs.start(state, view)
    view.refresh()


def compute(state: State, runs: Runs) -> Result:
    """Count what would train, and gather the runs of the chosen model."""
    shape, recording = runs.shape(state.model), runs.recordings[state.model]
    recorded = recording is not None and not runs.can_train(state.model)
    lines = recording.lines if recorded else [line for line in runs.lines if line.knobs.model == state.model]
    reference = next(filter(_is_reference, reversed(lines)), None)
    if reference is None:
        reference = _recorded_reference(recording, runs.steps)
    base = runs.start_loss(state.model) if lines or reference else None
    gaps = [_gap(line, reference, base) for line in lines]
    trained, total = _trained(state, shape, runs.steps), decoder_parameters(shape)
    return Result(
        trained, total, lines, gaps, recorded, reference, base, runs.steps, runs.running, _note(state, runs),
        ["r", "alpha", "targets"] if state.variant == FULL else [],
        _sentence(lines[-1], gaps[-1]) if lines else _plan(state, runs, trained / total),
    )  # fmt: skip


def _trained(state: State, shape: DecoderConfig, steps: int) -> int:
    """Count what the variant trains, by its own formula."""
    recipe = VARIANTS[state.variant](steps)
    if recipe is None:
        return decoder_parameters(shape)
    whole = (recipe | Recipe(r=state.r)).complete(ORIGIN)
    return shape.layers * sum(whole.count(*sides) for sides in matched(shape, TARGETS[state.targets]).values())


def _is_reference(line: Line) -> bool:
    return line.knobs.variant == FULL and line.run.final is not None


def _recorded_reference(recording: Recording | None, steps: int) -> Line | None:
    lines = [] if recording is None else recording.lines
    return next((line for line in lines if _is_reference(line) and line.steps == steps), None)


def _gap(line: Line, reference: Line | None, base: float | None) -> float | None:
    if reference is None or base is None or line.run.final is None or reference.run.final >= base:
        return None
    return (base - line.run.final) / (base - reference.run.final)


def _note(state: State, runs: Runs) -> str:
    recording = runs.recordings[state.model]
    if not runs.can_train(state.model):
        return f"{NO_CUDA} {NOT_RECORDED if recording is None else f'Shown: {recording.note}.'}"
    if any(_is_reference(line) and line.knobs.model == state.model for line in runs.lines):
        return "Full fine-tuning: trained here."
    if _recorded_reference(recording, runs.steps) is not None:
        return f"Full fine-tuning: {recording.note}."
    return "No full fine-tuning to compare with yet: choose it as the variant and train it once."


def _plan(state: State, runs: Runs, share: float) -> str:
    """Say what pressing Train would do."""
    if not runs.can_train(state.model):
        return NO_CUDA
    what = "Full fine-tuning" if state.variant == FULL else f"{state.variant} with r = {state.r} on {state.targets}"
    return f"{what} would train {share:.1%} of the model. Press Train."


def _sentence(line: Line, gap: float | None) -> str:
    """Say how the last run goes, or went."""
    run, full = line.run, line.knobs.variant == FULL
    name = "Full fine-tuning" if full else line.label
    if run.state == "running":
        loss = f", loss {run.losses[-1]:.2f} nats per token" if run.losses else ""
        return f"{name}: step {len(run.losses)} of {line.steps}{loss}."
    if run.final is None:
        return f"{name} was {run.state} after {len(run.losses)} of {line.steps} steps."
    way = "" if gap is None or full else f", {gap:.0%} of the way from the base to full fine-tuning"
    return f"{name} ends at {run.final:.2f} nats per token on unseen text{way}."


def still(state: State, result: Result) -> "Figure":
    """Draw the runs without a browser."""
    figure = style.figure()
    axes = style.axes(figure, result.sentence, "step", "training loss (nats per token)")
    lines = result.lines + ([result.reference] if result.reference else [])
    for line in lines:
        full = line.knobs.variant == FULL
        drawn = style.REFERENCE if full else style.variant(line.knobs.variant)
        colour, dash = style.NEUTRAL.text if full else drawn.light, style.MATPLOTLIB_DASH[drawn.dash]
        axes.plot(line.run.losses, color=colour, linestyle=dash, linewidth=1.2, label=line.label)
    if lines:
        axes.legend(frameon=False, labelcolor=style.NEUTRAL.text, fontsize=8)
    return figure
