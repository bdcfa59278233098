"""DyLoRA: each step trains the first b rows and columns; afterwards every b is an adapter."""

from torch import nn

import lorabook as lb
from lorabook.book.figures.blocks import Scale, pair
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.layers import RANK, adapt
from lorabook.book.figures.page import MIDDLE, TOP, beside_lora, trains

STEPS, RANKS, APART = 4, (1, 2, 4, 8), 128
SCALE = Scale(rank=1.3, d_out=1.1, d_in=1.3, gap=8)


def draw() -> Drawing:
    recipe = lb.DyLoRA(r=RANK, seed=7)
    layer = adapt(recipe)
    model = nn.ModuleDict({"layer": layer})
    drawing = beside_lora(
        "DyLoRA: train nested ranks; every smaller rank is an adapter that works",
        "ΔW = (α/b)·B[:, :b] A[:b], b drawn anew at each step; cut to any b afterwards",
        trains(layer),
    )
    rule = recipe.rule.build(model)
    rule.begin(STEPS + 1)
    drawing.heading(MIDDLE + 10, TOP + 14, "training: each step draws a rank b")
    for t in range(STEPS):
        _pair(drawing, layer.update, MIDDLE + 12 + APART * t, TOP + 48, f"step {t + 1}: b = {rule.b}", "grid")
        rule.after_step(t)
    drawing.heading(MIDDLE + 10, TOP + 124, "afterwards: cut to the rank you need")
    for place, b in enumerate(RANKS):
        lb.truncate(model, b)
        _pair(drawing, layer.update, MIDDLE + 12 + APART * place, TOP + 160, f"b = {b}", "")
    return drawing


def _pair(drawing: Drawing, update: nn.Module, x: float, middle: float, words: str, rest: str) -> None:
    """Draw B and A with the part in use in orange; what is not, in the role `rest`, or not at all."""
    (r, d_in), b = update.A.shape, update.B.shape
    pair(drawing, b, (r, d_in), x, middle, SCALE, "trainable", used=update.b, rest=rest)
    drawing.text(x + SCALE.rank * r + SCALE.gap + SCALE.d_in * d_in / 2, middle + 24, words, size=12)
