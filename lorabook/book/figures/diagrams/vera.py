"""VeRA: one frozen random pair for all layers, two vectors for each."""

import torch
from torch import nn

import lorabook as lb
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.page import MIDDLE, RANK, TOP, adapt, beside_lora, plain_layer, trains

LAYERS = 3


def draw() -> Drawing:
    model = nn.ModuleDict({f"layer {i}": plain_layer(seed=i) for i in range(1, LAYERS + 1)})
    layers = lb.inject(model, lb.VeRA(r=RANK), targets="layer", generator=torch.Generator().manual_seed(0))
    pairs = {id(layer.update.pair): layer.update.pair for layer in layers.values()}
    (pair,) = pairs.values()
    drawing = beside_lora(
        "VeRA: one frozen random pair for all layers; each layer trains two vectors",
        "ΔW_{i} = diag(b_{i}) B diag(d_{i}) A, with b_{i} = 0 at the start",
        "Each layer " + trains(adapt(lb.VeRA(r=RANK))).replace("Trains", "trains", 1),
    )
    unit, step = 1.0, 62
    d_out, d_in = next(iter(layers.values())).base.store.shape
    pair_x, middle = 530, TOP + 24 + step * (LAYERS - 1) / 2 + d_out / 2
    for place, (name, layer) in enumerate(layers.items()):
        x, y = MIDDLE + 22, TOP + 24 + step * place
        drawing.rect(x, y, unit * d_in, unit * d_out, "frozen")
        drawing.text(
            x + unit * d_in / 2, y + unit * d_out / 2 + 5, f"W_{{{name[-1]}}}", size=14, role="on-frozen", bold=True
        )
        drawing.text(x + unit * d_in + 14, y + d_out / 2 + 5, "+", size=15)
        for letter, held, at in (("b", layer.update.b, 100), ("d", layer.update.d, 150)):
            tall = unit * held.numel()
            drawing.rect(x + at, y + d_out / 2 - tall / 2, 5, tall, "trainable")
            drawing.text(x + at + 17, y + d_out / 2 + 5, f"{letter}_{{{name[-1]}}}", size=13, bold=True)
        drawing.arrow((x + 182, y + d_out / 2), (pair_x - 36, middle + 10 * (place - 1)))
    scale = 1.5
    b_wide, b_tall = scale * pair.B.shape[1], scale * pair.B.shape[0]
    a_wide, a_tall = scale * pair.A.shape[1], scale * pair.A.shape[0]
    drawing.rect(pair_x, middle - b_tall / 2, b_wide, b_tall, "frozen")
    drawing.rect(pair_x + b_wide + 14, middle - a_tall / 2, a_wide, a_tall, "frozen")
    drawing.note(pair_x + b_wide / 2, middle + b_tall / 2 + 20, f"B {_size(pair.B)}")
    drawing.note(pair_x + b_wide + 14 + a_wide / 2, middle + a_tall / 2 + 16, f"A {_size(pair.A)}")
    drawing.frame(pair_x - 30, middle - 62, b_wide + a_wide + 64, 132, "text")
    drawing.heading(pair_x - 30, middle - 71, f"the same pair for all {len(layers)}")
    return drawing


def _size(m: torch.Tensor) -> str:
    return f"{m.shape[0]} × {m.shape[1]}"
