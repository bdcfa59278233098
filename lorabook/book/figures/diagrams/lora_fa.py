"""LoRA-FA: A is frozen, and what is kept for backward shrinks from x to Ax."""

import torch

import lorabook as lb
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.page import ALPHA, BOTTOM, RANK, RIGHT, TOP, adapt, beside_lora, trains, w0
from lorabook.book.figures.terms import Word, of, row
from lorabook.cost.count import saved_bytes

TOKENS = 32


def kept(recipe: lb.Recipe) -> float:
    """Return the numbers that the layer keeps for its backward pass, for each token."""
    layer = adapt(recipe)
    x = torch.zeros(TOKENS, layer.base.store.shape[1], dtype=torch.float64, requires_grad=True)
    factors = [*layer.parameters(), *layer.buffers(), *layer.base.buffers(), layer.base.matrix]
    # x comes from a layer before: the copy is what that layer gave.
    return saved_bytes(lambda: layer(x.clone()), besides=factors) / x.element_size() / TOKENS


def draw() -> Drawing:
    layer = adapt(lb.LoRAFA(r=RANK))
    drawing = beside_lora(
        "LoRA-FA: A stays as it was drawn, so only Ax is kept for backward, not x",
        "ΔW = s·BA with A frozen; ∂L/∂B = s·(∂L/∂h)(Ax)^{T} needs Ax and never x",
        trains(layer),
    )
    terms = [w0(layer), Word("+"), of("B", layer.update.B), of("A", layer.update.A, "frozen")]
    row(drawing, terms, 242, TOP, 270, BOTTOM - TOP)
    found = {"LoRA": kept(lb.LoRA(r=RANK, alpha=ALPHA)), "LoRA-FA": kept(lb.LoRAFA(r=RANK))}
    left, unit = 556, (RIGHT - 556 - 30) / max(found.values())
    drawing.heading(left, TOP + 36, "kept for backward, a token")
    for place, (name, numbers) in enumerate(found.items()):
        y = TOP + 62 + 56 * place
        drawing.text(left, y + 8, name, size=12, anchor="start", role="text" if place else "quiet")
        drawing.rect(left, y + 14, unit * numbers, 16, "hue-3")
        drawing.text(left + unit * numbers + 6, y + 26, f"{numbers:g}", size=12, anchor="start")
    return drawing
