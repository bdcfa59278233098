"""AdaLoRA: which triplets of which layer are left when the budget has been spent."""

from itertools import repeat

import torch
from torch import Tensor, nn

import lorabook as lb
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.layers import RANK, plain_layer
from lorabook.book.figures.page import BOTTOM, TOP, beside_lora
from lorabook.book.figures.plot import Plot, Span
from lorabook.core.adapted_layer import adapted

NEEDED = {"layer 1": 1, "layer 2": 7, "layer 3": 2, "layer 4": 6}
"""The rank of what each layer has to learn."""
STEPS, TARGET = 200, 4
RECIPE = lb.AdaLoRA(r=RANK, target_r=TARGET, total_steps=STEPS, orthogonality=0.1)


def trained() -> nn.Module:
    """Return four layers after a run in which each had to learn a ΔW of its own rank, each direction of size 1."""
    model = nn.ModuleDict({name: plain_layer(seed=i) for i, name in enumerate(NEEDED)})
    generator = torch.Generator().manual_seed(3)
    goals = {
        name: layer.weight.detach() + _of_rank(*layer.weight.shape, NEEDED[name], generator)
        for name, layer in model.items()
    }
    lb.inject(model, RECIPE, targets="layer", generator=generator)

    def distance(model: nn.Module, batch: tuple) -> Tensor:
        weights = {name: layer.update.weight(layer.base.matrix) for name, layer in adapted(model).items()}
        return sum((weights[name] - goal).square().sum() for name, goal in goals.items())

    nothing = torch.zeros(1)
    lb.fit(model, repeat((nothing, nothing)), steps=STEPS, lr=0.03, loss=distance, progress=False)
    return model


def _of_rank(d_out: int, d_in: int, rank: int, generator: torch.Generator) -> Tensor:
    u, v = (torch.linalg.qr(torch.randn(d, rank, generator=generator, dtype=torch.float64))[0] for d in (d_out, d_in))
    return u @ v.T


def draw() -> Drawing:
    layers = adapted(trained())
    start, target = RANK * len(layers), TARGET * len(layers)
    plan = RECIPE.rule.plan.of(STEPS)
    drawing = beside_lora(
        "AdaLoRA: one budget of rank for the whole model, spent where needed",
        "ΔW = s·PΛQ; λ_{i} is set to 0 unless its triplet is among the b(t) best of all layers",
        f"Measured: {len(layers)} layers of rank {RANK}, which had to learn ranks "
        f"{', '.join(map(str, NEEDED.values()))} with {target} triplets in all.",
    )
    plot = Plot(drawing, 272, TOP + 34, 160, BOTTOM - TOP - 80, Span(0, STEPS), Span(0, start))
    plot.axes("step t", "budget b(t), triplets", {0: "0", STEPS: f"{STEPS}"}, {target: f"{target}", start: f"{start}"})
    plot.line(range(STEPS + 1), [plan.budget(t, start, target) for t in range(STEPS + 1)], "trainable")
    left, cell, step = 544, 23, 38
    drawing.heading(left, TOP + 25, "triplets left at the end")
    for place, (name, layer) in enumerate(layers.items()):
        y = TOP + 42 + step * place
        drawing.text(left - 10, y + 15, name, size=12, anchor="end")
        for i, lives in enumerate(sorted((layer.update.E != 0).flatten().tolist(), reverse=True)):
            drawing.rect(
                left + cell * i, y, cell - 3, 19, "trainable" if lives else "grid", faint=1.0 if lives else 0.5
            )
    return drawing
