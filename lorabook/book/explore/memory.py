"""Memory explorer: what it takes to fine-tune or to serve a LLaMA-shaped model of 7B to 70B, and on which GPU it fits.

Every number comes from `lorabook.cost.memory`; its docstrings have the formulas and their sources.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from lorabook.book import style
from lorabook.book.explore.explorer import Explorer, explorer
from lorabook.book.explore.state import Choice, Steps, Toggle, control, folded
from lorabook.cost import memory
from lorabook.cost.count import LLAMA, lora_parameters

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PRECISIONS = {"bf16 mixed": memory.MIXED, "fp32": memory.SINGLE}
OPTIMISERS = {"AdamW": memory.ADAMW, "AdamW, 8-bit": memory.ADAMW_8BIT, "SGD": memory.SGD}
TARGETS = {"q, v": "q_proj|v_proj", "q, k, v, o": "self_attn", "all seven": "proj"}
Base = Callable[[memory.Precision], memory.Format]
BASES: dict[str, Base] = {
    "LoRA": lambda precision: memory.Format(8 * precision.weight),
    "LoRA on int8": lambda precision: memory.INT8,
    "QLoRA, constants in fp32": lambda precision: memory.NF4,
    "QLoRA": lambda precision: memory.NF4_DOUBLE,
}
FULL = "full fine-tuning"
POWERS = tuple(2**i for i in range(11))


@dataclass(frozen=True)
class State:
    """The choices that change a memory budget."""

    model: str = control("7B", Choice("model", tuple(LLAMA)))
    use: str = folded("fine-tune", Choice("use", ("fine-tune", "serve")))
    method: str = control("LoRA", Choice("method", (FULL, *BASES)))
    precision: str = folded("bf16 mixed", Choice("precision", tuple(PRECISIONS)))
    gpu: int = control(24, Choice("GPU memory (GiB)", (24, 48, 80)))
    r: int = folded(16, Steps("rank r", POWERS[:9]))
    targets: str = folded("all seven", Choice("targets", tuple(TARGETS)))
    batch: int = folded(1, Steps("batch", POWERS[:8], "seq."))
    length: int = control(1024, Steps("length", tuple(128 * n for n in POWERS[:9]), "tok."))
    optimiser: str = folded("AdamW", Choice("optimiser", tuple(OPTIMISERS)))
    adapters: int = folded(1, Steps("adapters held", POWERS))
    checkpointing: bool = folded(False, Toggle("gradient checkpointing"))
    paged: bool = folded(False, Toggle("paged optimiser"))


@dataclass(frozen=True)
class Result:
    """The budget in GiB by purpose, what of it must fit on the GPU, and what trains."""

    parts: dict[str, float]
    device: float
    host: float
    trained: int
    quantised: bool
    full: bool
    off: list[str]
    sentence: str


def memory_calculator() -> Explorer:
    """Return the memory calculator."""
    return explorer("memory", State(), compute, still)


def compute(state: State) -> Result:
    """Ask `lorabook.cost.memory` for the budget of the choices."""
    shape, precision, method = LLAMA[state.model], PRECISIONS[state.precision], _method(state)
    batch = memory.Batch(state.batch, state.length)
    if state.use == "serve":
        budget = memory.serving(shape, method, precision, batch, adapters=state.adapters)
    else:
        optimiser = memory.Optimiser(OPTIMISERS[state.optimiser].state, state.paged)
        budget = memory.training(shape, method, precision, optimiser, batch, checkpointing=state.checkpointing)
    gib = {name: value / memory.GIB for name, value in asdict(budget).items()}
    host, device = gib.pop("host"), budget.device / memory.GIB
    full = state.method == FULL
    trained = memory.decoder_parameters(shape) if full else lora_parameters(shape, state.r, TARGETS[state.targets])
    quantised = not full and method.base.constant_bits > 0
    return Result(gib, device, host, trained, quantised, full, _off(state), _sentence(state, device, host))


def still(state: State, result: Result) -> "Figure":
    """Draw the budget without a browser."""
    figure = style.figure(height=2.6)
    axes = style.axes(figure, result.sentence, "GiB", "")
    names, left = list(result.parts), 0.0
    for place, name in enumerate(names):
        axes.barh(len(names) - place, result.parts[name], left=left, color=style.FROZEN.light)
        left += result.parts[name]
    axes.set_yticks(range(len(names), 0, -1), names)
    axes.axvline(state.gpu, color=style.FALSE.light, linestyle="--")
    return figure


def _method(state: State) -> memory.Method:
    if state.method == FULL:
        return memory.FullFineTuning()
    return memory.Adapters(state.r, TARGETS[state.targets], BASES[state.method](PRECISIONS[state.precision]))


def _off(state: State) -> list[str]:
    """Name the controls that change nothing as the others stand."""
    off = ["adapters"] if state.use == "fine-tune" else ["optimiser", "checkpointing", "paged"]
    return off + (["r", "targets"] if state.method == FULL else [])


def _sentence(state: State, device: float, host: float) -> str:
    tuning = state.use == "fine-tune"
    task = f"{state.method} of {state.model}" if tuning else f"Serving {state.model} ({state.method})"
    spare = state.gpu - device
    verdict = f"{spare:.1f} GiB are left" if spare >= 0 else f"that is {-spare:.1f} GiB too much"
    aside = f", with {host:.1f} GiB of optimiser state in host memory" if host else ""
    return f"{task[0].upper()}{task[1:]} needs {device:.1f} GiB{aside}: on a {state.gpu} GiB GPU {verdict}."
