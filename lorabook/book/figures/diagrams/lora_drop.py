"""LoRA-drop: what the adapters do is measured; the important ones stay, the rest share one."""

import torch
from torch import Tensor, nn

import lorabook as lb
from lorabook.axes.rule.lora_drop import importance, important, share_the_rest
from lorabook.book.figures.blocks import Scale, block, pair
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.layers import fit_towards, plain_layer
from lorabook.book.figures.page import LEFT, foot
from lorabook.core.adapted_layer import adapted
from lorabook.core.lora import ORIGIN
from lorabook.cost.count import trainable

D, R, STEPS, THRESHOLD = 32, 4, 60, 0.9
MISSING = (0.1, 0.9, 0.2, 0.1, 1.0, 0.6, 0.15)
"""How far each layer is from what it has to become."""
LAYERS = len(MISSING)
SCALE = Scale(rank=1, d_out=1, d_in=0.8, gap=3)


class Beside(nn.Module):
    """Layers of one shape that read the same x, so that what each has to learn can be set apart from the others."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(plain_layer(D, D, seed=i) for i in range(len(MISSING)))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([layer(x) for layer in self.layers], dim=-1)


def measured() -> tuple[nn.Module, dict[str, float]]:
    """Return a model whose LoRA has been trained for a few steps towards one with other layers, and their shares."""
    model, goal = Beside(), Beside()
    with torch.no_grad():
        for i, size in enumerate(MISSING):
            goal.layers[i].weight.add_(size * plain_layer(D, D, seed=20 + i).weight)
    x = torch.randn(64, D, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    y = goal(x).detach()
    lb.inject(model, lb.LoRA(r=R), targets="layers", generator=torch.Generator().manual_seed(8))
    fit_towards(model, x, y, STEPS)
    return model, importance(model, [x])


def draw() -> Drawing:
    model, shares = measured()
    keep = important(shares, THRESHOLD)
    (rest,) = share_the_rest(model, keep).values()
    layers = adapted(model)
    drawing = Drawing("LoRA-drop: the layers that use their adapter keep it; the rest share one", 760, 360)
    left, step, foot_of_bars, boxes = 120, 86, 150, 182
    drawing.text(LEFT, 76, "1  measure", size=13, anchor="start", bold=True)
    drawing.text(LEFT, 93, "E‖ΔWx‖²", size=12, anchor="start", role="quiet")
    drawing.text(LEFT, boxes + 14, "2  train on", size=13, anchor="start", bold=True)
    tallest, middle = max(shares.values()), left + 20 + step * (LAYERS - 1) / 2
    for place, (name, layer) in enumerate(layers.items()):
        x, own = left + step * place, name in keep
        high = 66 * shares[name] / tallest
        drawing.rect(x, foot_of_bars - high, 40, high, "trainable" if own else "frozen")
        drawing.text(
            x + 20, foot_of_bars - high - 6, f"{100 * shares[name]:.0f}%", size=11, role="text" if own else "quiet"
        )
        block(drawing, (D, D), x + 2, boxes + 8, 36 / D, "frozen", name=f"W_{{{place + 1}}}", size=13)
        if own:
            pair(drawing, layer.update.B.shape, layer.update.A.shape, x + 42, boxes + 8, SCALE, "trainable")
        else:
            drawing.line([(x + 20, boxes + 30), (middle + 22 * (place - (LAYERS - 1) / 2) / 3, boxes + 64)], "quiet")
    drawing.line([(left - 6, foot_of_bars), (left + step * LAYERS - 20, foot_of_bars)], "quiet")
    one = layers[rest[0]].update
    drawing.rect(middle - 30, boxes + 64, 60, 44, "grid", faint=0.5)
    pair(drawing, one.B.shape, one.A.shape, middle - 18, boxes + 86, SCALE, "trainable")
    drawing.heading(middle + 40, boxes + 91, f"one adapter for {len(rest)} layers")
    each = ORIGIN.form.count(D, D, R)
    foot(
        drawing,
        "keep the fewest layers whose shares reach T; nothing is dropped: the rest share one BA",
        f"Measured: {LAYERS} layers of {D} × {D}, r = {R}, T = {100 * THRESHOLD:.0f}%. "
        f"Trains {trainable(model):,} numbers; LoRA {LAYERS * each:,}.",
    )
    return drawing
