"""Memory: where the bytes go when a 7B model is tuned, method by method."""

from collections.abc import Mapping

from lorabook.book.figures.blocks import key
from lorabook.book.figures.drawing import Drawing
from lorabook.cost.count import LLAMA
from lorabook.cost.memory import (
    ADAMW,
    ADAMW_8BIT,
    BF16,
    INT8,
    MIXED,
    NF4_DOUBLE,
    Adapters,
    Batch,
    Budget,
    FullFineTuning,
    Optimiser,
    training,
)

GIB = 2**30
RANK, LENGTH = 16, 1024
EVERYWHERE = "_proj"
METHODS = {
    "full fine-tuning": (FullFineTuning(), ADAMW),
    "8-bit Adam": (FullFineTuning(), ADAMW_8BIT),
    "LoRA": (Adapters(RANK, EVERYWHERE, BF16), ADAMW),
    "LoRA on 8 bits": (Adapters(RANK, EVERYWHERE, INT8), ADAMW),
    "QLoRA": (Adapters(RANK, EVERYWHERE, NF4_DOUBLE), ADAMW),
    "QLoRA, paged": (Adapters(RANK, EVERYWHERE, NF4_DOUBLE), Optimiser(ADAMW.state, paged=True)),
}
PURPOSES = {
    "weights": ("frozen", ("weights", "constants")),
    "adapters": ("trainable", ("adapters",)),
    "gradients": ("hue-2", ("gradients",)),
    "optimiser": ("hue-1", ("optimiser",)),
    "activations, logits, workspace": ("hue-3", ("activations", "logits", "workspace")),
}
LEFT, LONGEST, STEP = 170, 520, 34


def budgets() -> dict[str, Budget]:
    """Return what one step of each method holds: LLaMA 7B, one sequence of 1024 tokens, checkpointed layers."""
    return {
        name: training(LLAMA["7B"], method, MIXED, optimiser, Batch(1, LENGTH), checkpointing=True)
        for name, (method, optimiser) in METHODS.items()
    }


def draw() -> Drawing:
    memory = budgets()
    full, quantised = memory["full fine-tuning"].device / GIB, memory["QLoRA"].device / GIB
    drawing = Drawing(
        f"Memory for a 7B model: {full:.0f} GiB to tune all of it, {quantised:.0f} GiB with QLoRA", 780, 478
    )
    whole = {name: budget for name, budget in memory.items() if isinstance(METHODS[name][0], FullFineTuning)}
    frozen = {name: budget for name, budget in memory.items() if name not in whole}
    plain = memory["LoRA"].device / GIB
    drawing.heading(LEFT, 72, "everything trains; LoRA beside it")
    _bars(drawing, whole | {"LoRA": memory["LoRA"]}, 86, LONGEST / full, 20)
    top = 86 + STEP * 3 + 52
    drawing.heading(LEFT, top - 14, f"W₀ frozen, r = {RANK}: drawn {full / plain:.0f} times as large")
    _bars(drawing, frozen, top, LONGEST / plain, 2)
    x = 40
    for name, (role, _) in PURPOSES.items():
        key(drawing, x, 438, role, name)
        x += 40 + 6.8 * len(name)
    drawing.text(
        40,
        462,
        f"LLaMA 7B, one sequence of {LENGTH} tokens, bf16, checkpointed layers, adapters on all seven "
        "matrices; dots: quantised.",
        size=12,
        anchor="start",
        role="quiet",
    )
    return drawing


def _bars(drawing: Drawing, budgets: Mapping[str, Budget], top: float, unit: float, step: int) -> None:
    """Draw one bar for each method, `unit` pixels for a GiB, with a tick every `step` GiB."""
    foot, widest = top + STEP * len(budgets), max(budget.device for budget in budgets.values()) / GIB
    for tick in range(0, int(widest) + 1, step):
        drawing.line([(LEFT + unit * tick, top - 6), (LEFT + unit * tick, foot - 4)], "grid", width=1)
        drawing.note(LEFT + unit * tick, foot + 8, f"{tick} GiB" if tick else "0")
    for place, (name, budget) in enumerate(budgets.items()):
        x, y, method = LEFT, top + STEP * place, METHODS[name][0]
        drawing.text(LEFT - 12, y + 16, name, size=13, anchor="end", bold=True)
        for role, fields in PURPOSES.values():
            width = unit * sum(getattr(budget, field) for field in fields) / GIB
            rounded = role == "frozen" and isinstance(method, Adapters) and method.base.constant_bits
            drawing.rect(x, y, width, 22, "quantised" if rounded else role)
            x += width
        more = f" + {budget.host / GIB:.1f} in host memory" if budget.host else ""
        drawing.text(x + 8, y + 16, f"{budget.device / GIB:.1f}{more}", size=12, anchor="start")
