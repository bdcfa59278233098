"""VeRA: one frozen random pair for all layers, two vectors for each."""

import torch
from torch import nn

import lorabook as lb
from lorabook.book.figures.blocks import block, by
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.layers import RANK, adapt, plain_layer
from lorabook.book.figures.page import MIDDLE, TOP, beside_lora, trains

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
    step, shape = 62, next(iter(layers.values())).base.store.shape
    pair_x, middle = 530, TOP + 24 + step * (LAYERS - 1) / 2 + shape[0] / 2
    for place, (name, layer) in enumerate(layers.items()):
        x, y = MIDDLE + 22, TOP + 24 + step * place + shape[0] / 2
        box = block(drawing, shape, x, y, 1, "frozen", name=f"W_{{{name[-1]}}}")
        drawing.text(box.right + 14, y + 5, "+", size=15)
        for letter, vector, left in (("b", layer.update.b, 100), ("d", layer.update.d, 150)):
            drawing.rect(x + left, y - vector.numel() / 2, 5, vector.numel(), "trainable")
            drawing.text(x + left + 17, y + 5, f"{letter}_{{{name[-1]}}}", size=13, bold=True)
        drawing.arrow((x + 182, y), (pair_x - 36, middle + 10 * (place - 1)))
    b = block(drawing, pair.B.shape, pair_x, middle, 1.5, "frozen")
    a = block(drawing, pair.A.shape, b.right + 14, middle, 1.5, "frozen")
    drawing.note(b.middle[0], b.bottom + 20, f"B {by(pair.B)}")
    drawing.note(a.middle[0], a.bottom + 16, f"A {by(pair.A)}")
    drawing.frame(pair_x - 30, middle - 62, b.width + a.width + 64, 132, "text")
    drawing.heading(pair_x - 30, middle - 71, f"the same pair for all {len(layers)}")
    return drawing
