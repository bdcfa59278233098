"""QPiSSA: what is quantised is only what PiSSA leaves, so that the start is nearer to W₀."""

import lorabook as lb
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.layers import RANK, adapt, delta, plain_layer
from lorabook.book.figures.page import equation_and_measurement, lora_terms, two_bars
from lorabook.book.figures.terms import Matrix
from lorabook.core.adapted_layer import Adapted


def off(layer: Adapted) -> float:
    """Return ‖W − W₀‖/‖W₀‖ before any training."""
    return (delta(layer).norm() / plain_layer().weight.norm()).item()


def draw() -> Drawing:
    plain, layer = adapt(lb.QLoRA(r=RANK)), adapt(lb.QLoRA(r=RANK) | lb.PiSSA())
    drawing = equation_and_measurement(
        "QPiSSA: only what the strongest directions leave is rounded to four bits",
        "QLoRA | PiSSA: W = NF4(W₀ − s·BA) + s·BA, the top r directions of W₀ in BA",
        layer,
        lora_terms(layer, Matrix("NF4(W_{res})", *layer.base.store.shape, "quantised")),
    )
    bars = {
        "QLoRA": (off(plain), f"{100 * off(plain):.1f}%", "frozen"),
        "QPiSSA": (off(layer), f"{100 * off(layer):.1f}%", "trainable"),
    }
    two_bars(drawing, "off W₀ at the start", bars, room=48)
    return drawing
