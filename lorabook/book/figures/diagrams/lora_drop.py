"""LoRA-drop: what the adapters do is measured; the important ones stay, the rest share one."""

from itertools import repeat

import torch
from torch import Tensor, nn

import lorabook as lb
from lorabook.axes.rule.lora_drop import importance, important, share_the_rest
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.page import LEFT, foot, plain_layer
from lorabook.core.adapted_layer import adapted

D, R, STEPS, THRESHOLD = 32, 4, 60, 0.9
MISSING = (0.1, 0.9, 0.2, 0.1, 1.0, 0.6, 0.15)
"""How far each layer is from what it has to become."""
LAYERS = len(MISSING)


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

    def off(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return (model(batch[0]) - batch[1]).square().mean()

    lb.fit(model, repeat((x, y)), steps=STEPS, lr=0.01, loss=off, progress=False)
    return model, importance(model, [x])


def draw() -> Drawing:
    model, shares = measured()
    kept = important(shares, THRESHOLD)
    (rest,) = share_the_rest(model, kept).values()
    layers = adapted(model)
    drawing = Drawing("LoRA-drop: the layers that use their adapter keep it; the rest share one", 760, 360)
    left, step, foot_of_bars, boxes = 120, 86, 150, 182
    drawing.text(LEFT, 76, "1  measure", size=13, anchor="start", bold=True)
    drawing.text(LEFT, 93, "E‖ΔWx‖²", size=12, anchor="start", role="quiet")
    drawing.text(LEFT, boxes + 14, "2  train on", size=13, anchor="start", bold=True)
    tallest, middle = max(shares.values()), left + 20 + step * (LAYERS - 1) / 2
    for place, (name, layer) in enumerate(layers.items()):
        x, own = left + step * place, name in kept
        high = 66 * shares[name] / tallest
        drawing.rect(x, foot_of_bars - high, 40, high, "trainable" if own else "frozen")
        drawing.text(
            x + 20, foot_of_bars - high - 6, f"{100 * shares[name]:.0f}%", size=11, role="text" if own else "quiet"
        )
        drawing.rect(x + 2, boxes - 10, 36, 36, "frozen")
        drawing.text(x + 20, boxes + 13, f"W_{{{place + 1}}}", size=13, role="on-frozen", bold=True)
        if own:
            _adapter(drawing, layer.update, x + 42, boxes + 8)
        else:
            drawing.line([(x + 20, boxes + 30), (middle + 22 * (place - (LAYERS - 1) / 2) / 3, boxes + 64)], "quiet")
    drawing.line([(left - 6, foot_of_bars), (left + step * LAYERS - 20, foot_of_bars)], "quiet")
    one = layers[rest[0]].update
    drawing.rect(middle - 30, boxes + 64, 60, 44, "grid", faint=0.5)
    _adapter(drawing, one, middle - 18, boxes + 86)
    drawing.heading(middle + 40, boxes + 91, f"one adapter for {len(rest)} layers")
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    each = type(one).count(D, D, R)
    foot(
        drawing,
        "keep the fewest layers whose shares reach T; nothing is dropped: the rest share one BA",
        f"Measured: {LAYERS} layers of {D} × {D}, r = {R}, T = {100 * THRESHOLD:.0f}%. "
        f"Trains {trained:,} numbers; LoRA {LAYERS * each:,}.",
    )
    return drawing


def _adapter(drawing: Drawing, update: nn.Module, x: float, middle: float) -> None:
    (r, wide), tall = update.A.shape, update.B.shape[0]
    drawing.rect(x, middle - tall / 2, r, tall, "trainable")
    drawing.rect(x + r + 3, middle - r / 2, 0.8 * wide, r, "trainable")
