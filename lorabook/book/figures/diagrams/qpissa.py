"""QPiSSA: what is quantised is only what PiSSA leaves, so that the start is nearer to W₀."""

import lorabook as lb
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.page import BOTTOM, RANK, RIGHT, TOP, adapt, beside_lora, delta, plain_layer, trains
from lorabook.book.figures.terms import Matrix, Word, of, row


def off(recipe: lb.Recipe) -> float:
    """Return ‖W − W₀‖/‖W₀‖ before any training."""
    return (delta(adapt(recipe)).norm() / plain_layer().weight.norm()).item()


def draw() -> Drawing:
    recipe = lb.QLoRA(r=RANK) | lb.PiSSA()
    layer = adapt(recipe)
    d_out, d_in = layer.base.store.shape
    drawing = beside_lora(
        "QPiSSA: only what the strongest directions leave is rounded to four bits",
        "QLoRA | PiSSA: W = NF4(W₀ − s·BA) + s·BA, the top r directions of W₀ in BA",
        trains(layer),
    )
    terms = [
        Matrix("NF4(W_{res})", d_out, d_in, "quantised"),
        Word("+"),
        of("B", layer.update.B),
        of("A", layer.update.A),
    ]
    row(drawing, terms, 242, TOP, 270, BOTTOM - TOP)
    found = {"QLoRA": off(lb.QLoRA(r=RANK)), "QPiSSA": off(recipe)}
    left, unit = 556, (RIGHT - 556 - 48) / max(found.values())
    drawing.heading(left, TOP + 36, "off W₀ at the start")
    for place, (name, share) in enumerate(found.items()):
        y = TOP + 62 + 56 * place
        drawing.text(left, y + 8, name, size=12, anchor="start", role="text" if place else "quiet")
        drawing.rect(left, y + 14, unit * share, 16, "trainable" if place else "frozen")
        drawing.text(left + unit * share + 6, y + 26, f"{100 * share:.1f}%", size=12, anchor="start")
    return drawing
