"""Memory: where the bytes go when a 7B model is tuned, method by method."""

from lorabook.count import LLAMA
from lorabook.figures.drawing import Drawing
from lorabook.memory import (
    ADAMW, BF16, MIXED, NF4_DOUBLE, Adapters, Batch, Budget, FullFineTuning, Optimiser, training,
)  # fmt: skip

GIB = 2**30
EVERYWHERE = "_proj"
FOUR = r"q_proj|k_proj|v_proj|o_proj"
METHODS = {
    "full fine-tuning": (FullFineTuning(), ADAMW),
    "LoRA, r = 16": (Adapters(16, EVERYWHERE, BF16), ADAMW),
    "QLoRA, r = 16": (Adapters(16, EVERYWHERE, NF4_DOUBLE), ADAMW),
    "QLoRA, paged AdamW": (Adapters(16, EVERYWHERE, NF4_DOUBLE), Optimiser(ADAMW.state, paged=True)),
}
PURPOSES = {
    "weights": ("frozen", ("weights", "constants")),
    "adapters": ("trainable", ("adapters",)),
    "gradients": ("hue-2", ("gradients",)),
    "optimiser": ("hue-1", ("optimiser",)),
    "activations and logits": ("hue-3", ("activations", "logits", "workspace")),
}


def budgets() -> dict[str, Budget]:
    """Return what one step of each method holds: LLaMA 7B, one sequence of 1024 tokens, checkpointed layers."""
    batch = Batch(1, 1024)
    return {
        name: training(LLAMA["7B"], method, MIXED, optimiser, batch, checkpointing=True)
        for name, (method, optimiser) in METHODS.items()
    }


def draw() -> Drawing:
    found = budgets()
    full, quantised = found["full fine-tuning"].device / GIB, found["QLoRA, r = 16"].device / GIB
    drawing = Drawing(f"Memory for a 7B model: {full:.0f} GiB to tune all of it, {quantised:.0f} GiB with QLoRA", 760, 340)
    left, wide, top = 190, 500, 76
    unit = wide / full
    for tick in range(0, int(full) + 1, 20):
        drawing.line([(left + unit * tick, top - 8), (left + unit * tick, top + 46 * len(found))], "grid", width=1)
        said = f"{tick} GiB" if tick else "0"
        drawing.text(left + unit * tick, top + 46 * len(found) + 14, said, size=11, role="quiet")
    for place, (name, budget) in enumerate(found.items()):
        x, y = left, top + 46 * place
        drawing.text(left - 12, y + 18, name, size=13, anchor="end", bold=True)
        for role, fields in PURPOSES.values():
            width = unit * sum(getattr(budget, field) for field in fields) / GIB
            drawing.rect(x, y, width, 26, "quantised" if role == "frozen" and "QLoRA" in name else role)
            x += width
        more = f" + {budget.host / GIB:.1f} in host memory" if budget.host else ""
        drawing.text(x + 8, y + 18, f"{budget.device / GIB:.1f}{more}", size=12, anchor="start")
    x = LEGEND
    for name, (role, _) in PURPOSES.items():
        drawing.rect(x, 300, 14, 14, role)
        drawing.text(x + 20, 312, name, size=12, anchor="start")
        x += 40 + 6.8 * len(name)
    return drawing


LEGEND = 60
