"""Training explorer: choose a variant and its knobs, train it on the spot, and lay the runs over each other.

A run adapts the base to a text it has never seen, in a thread of its own; the curve streams ten times a second, and the
black dotted line is full fine-tuning. Runs with one seed see the same batches in the same order.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import torch

from lorabook.axes.base.qlora import QLoRA
from lorabook.axes.form.dora import DoRA
from lorabook.axes.form.loha import LoHa
from lorabook.axes.init.pissa import PiSSA
from lorabook.axes.optim.lora_plus import LoRAPlus
from lorabook.axes.rule.adalora import AdaLoRA
from lorabook.axes.scale.rslora import rsLoRA
from lorabook.book import style
from lorabook.book.explore.recorded import Recording, read_recording
from lorabook.book.explore.state import Choice, Steps, control
from lorabook.book.explore.studio import Room, Studio
from lorabook.book.explore.wire import Action, Explorer, Still, explorer
from lorabook.book.explore.workbench import FULL, STEPS, Run, Workbench, warm_up, workbench
from lorabook.core.lora import ORIGIN, LoRA
from lorabook.core.recipe import Recipe
from lorabook.cost.count import decoder_parameters, matched
from lorabook.models.decoder import DecoderConfig

VARIANTS: dict[str, Callable[[int], Recipe | None]] = {
    "LoRA": lambda steps: LoRA(),
    "rsLoRA": lambda steps: rsLoRA(),
    "LoRA+": lambda steps: LoRAPlus(),
    "DoRA": lambda steps: DoRA(),
    "LoHa": lambda steps: LoHa(),
    "PiSSA": lambda steps: PiSSA(),
    "QLoRA": lambda steps: QLoRA(),
    "QDoRA": lambda steps: QLoRA() | DoRA(),
    "AdaLoRA": lambda steps: AdaLoRA(total_steps=steps),
    FULL: lambda steps: None,
}
"""What can be trained, as a function of the number of steps (AdaLoRA's budget is a schedule over them)."""

TARGETS = {"q, v": "q_proj|v_proj", "q, k, v, o": "[qkvo]_proj", "gate, up, down": "mlp", "all seven": "proj"}
RATES = tuple(float(f"{m}e{e}") for e in range(-4, 0) for m in (1, 2, 5)) + (1.0,)
POWERS = tuple(2**i for i in range(9))
MODELS = ("tiny", "gpu")
NO_CUDA = "This machine has no CUDA device, so the GPU-sized model cannot be trained here."

NOT_RECORDED = "No run of it is recorded in this copy of the book."


@dataclass(frozen=True)
class State:
    """The knobs of a run."""

    variant: str = control("LoRA", Choice("variant", tuple(VARIANTS)))
    r: int = control(8, Steps("rank r", POWERS[:7]))
    alpha: int = control(16, Steps("α", POWERS))
    lr: float = control(0.01, Steps("learning rate", RATES))
    targets: str = control("q, v", Choice("targets", tuple(TARGETS)))
    model: str = control("tiny", Choice("model", MODELS))


@dataclass(frozen=True)
class Line:
    """A run as the view draws it; `gap` is the share of the way from the base to full fine-tuning."""

    run: Run
    label: str
    recorded: bool
    gap: float | None


@dataclass(frozen=True)
class Result:
    """What would train now, the runs to draw, the full fine-tuning that they are measured against, and one sentence."""

    trained: int
    total: int
    lines: list[Line]
    reference: Run | None
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
    return on_workbenches(tiny_bench(), gpu_bench if torch.cuda.is_available() else None, steps, seed, recordings)


def tiny_bench() -> Workbench:
    """Return the shipped base, on the CPU everywhere, so that its recorded runs compare."""
    return workbench("tiny", "cpu", batch=8, length=128)


def gpu_bench() -> Workbench:
    """Return SmolLM2-135M on the CUDA device."""
    return workbench("smollm2", "cuda", batch=16, length=256)


def on_workbenches(
    tiny: Workbench, gpu: Callable[[], Workbench] | None, steps: int, seed: int, recordings: dict[str, Recording | None]
) -> Explorer:
    """Return the training explorer on given models; `gpu` is called when its model trains, None where it cannot."""
    room = Room(tiny, None if gpu is None else cache(gpu), steps, seed, recordings, Studio())
    warm_up()
    made = explorer("training", State(), partial(compute, room=room), still)
    made.set_actions({
        "start": Action("Train", lambda: start(made.state, room, made)),
        "stop": Action("Stop", room.studio.stop),
        "clear": Action("Clear runs", lambda: (room.studio.clear(), made.refresh())),
    })  # fmt: skip
    return made


def start(state: State, room: Room, view: Explorer) -> None:
    """Train what the controls say, in the background.

    Raises:
        ValueError: the model cannot be trained here.
        RuntimeError: a run is under way.
    """
    if state.model == "gpu" and room.gpu is None:
        raise ValueError(_note(state, room))
    recipe = VARIANTS[state.variant](room.steps)
    if recipe is not None:
        recipe = recipe | Recipe(r=state.r, alpha=float(state.alpha))
    number = 1 + max((run.number for run in room.studio.runs), default=0)
    run = Run(
        number, state.model, state.variant, state.r, state.alpha, state.lr, state.targets, room.steps, room.seed
    )
    bench = (lambda: room.tiny) if state.model == "tiny" else room.gpu
    room.studio.start(run, bench, recipe, TARGETS[state.targets], view)
    view.refresh()


def compute(state: State, room: Room) -> Result:
    """Count what would train, and gather the runs of the chosen model."""
    shape, recording = room.shape(state.model), room.recording(state.model)
    mine = [run for run in room.studio.runs if run.model == state.model]
    shown = recording.runs if recording and state.model == "gpu" and room.gpu is None else mine
    reference = next((run for run in reversed(shown) if run.variant == FULL and run.final is not None), None)
    if reference is None and recording is not None:
        reference = next((run for run in recording.runs if run.variant == FULL and run.steps == room.steps), None)
    base = _start(state, room, recording) if shown or reference else None
    lines = [Line(run, run.label, shown is not mine, _gap(run, reference, base)) for run in shown]
    running = room.studio.running
    trained = _trained(state, shape, room.steps)
    return Result(
        trained, decoder_parameters(shape), lines, reference, base, room.steps, running, _note(state, room),
        ["r", "alpha", "targets"] if state.variant == FULL else [],
        _sentence(state, lines, room, trained / decoder_parameters(shape)),
    )  # fmt: skip


def _trained(state: State, shape: DecoderConfig, steps: int) -> int:
    """Count what the variant trains, by its form's own formula."""
    recipe = VARIANTS[state.variant](steps)
    if recipe is None:
        return decoder_parameters(shape)
    form = recipe.complete(ORIGIN).form
    return shape.layers * sum(form.count(*sides, state.r) for sides in matched(shape, TARGETS[state.targets]).values())


def _start(state: State, room: Room, recording: Recording | None) -> float | None:
    if state.model == "tiny":
        return room.tiny.start
    return recording.start if recording is not None and room.gpu is None else room.gpu().start


def _gap(run: Run, reference: Run | None, base: float | None) -> float | None:
    if reference is None or base is None or run.final is None or reference.final >= base:
        return None
    return (base - run.final) / (base - reference.final)


def _note(state: State, room: Room) -> str:
    recording = room.recording(state.model)
    if state.model == "gpu" and room.gpu is None:
        return f"{NO_CUDA} {NOT_RECORDED if recording is None else f'Shown: {recording.note}.'}"
    if any(run.variant == FULL and run.model == state.model and run.final is not None for run in room.studio.runs):
        return "Full fine-tuning: trained here."
    if recording is not None and any(run.variant == FULL and run.steps == room.steps for run in recording.runs):
        return f"Full fine-tuning: {recording.note}."
    return "No full fine-tuning to compare with yet: choose it as the variant and train it once."


def _sentence(state: State, lines: list[Line], room: Room, share: float) -> str:
    if not lines and state.model == "gpu" and room.gpu is None:
        return NO_CUDA
    if not lines:
        what = "Full fine-tuning" if state.variant == FULL else f"{state.variant} with r = {state.r} on {state.targets}"
        return f"{what} would train {share:.1%} of the model. Press Train."
    run = lines[-1].run
    name = "Full fine-tuning" if run.variant == FULL else run.label
    if run.state == "running":
        loss = f", loss {run.losses[-1]:.2f} nats per token" if run.losses else ""
        return f"{name}: step {len(run.losses)} of {run.steps}{loss}."
    if run.final is None:
        return f"{name} was {run.state} after {len(run.losses)} of {run.steps} steps."
    gap = lines[-1].gap
    way = "" if gap is None or run.variant == FULL else f", {gap:.0%} of the way from the base to full fine-tuning"
    return f"{name} ends at {run.final:.2f} nats per token on unseen text{way}."


def still(state: State, result: Result) -> Still:
    """Say and draw the runs without a browser."""
    figure = style.figure()
    axes = style.axes(figure, result.sentence, "step", "training loss (nats per token)")
    runs = [line.run for line in result.lines] + ([result.reference] if result.reference else [])
    for run in runs:
        drawn = style.REFERENCE if run.variant == FULL else style.variant(run.variant)
        colour = style.NEUTRAL.text if run.variant == FULL else drawn.light
        axes.plot(run.losses, color=colour, linestyle=style.MATPLOTLIB_DASH[drawn.dash], linewidth=1.2, label=run.label)
    if runs:
        axes.legend(frameon=False, labelcolor=style.NEUTRAL.text, fontsize=8)
    return Still(result.sentence, figure)
