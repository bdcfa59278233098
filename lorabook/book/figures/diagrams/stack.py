"""stack: adapters on one layer add up, and the sum is one adapter of the summed rank."""

import lorabook as lb
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.layers import adapt, moved
from lorabook.book.figures.page import MIDDLE, RIGHT, TOP, beside_lora, w0
from lorabook.book.figures.terms import Matrix, Part, Term, Word, row
from lorabook.many.combine import concatenated
from lorabook.many.pair import Pair

RANKS = (8, 4)


def draw() -> Drawing:
    layers = [moved(adapt(lb.LoRA(r=r))) for r in RANKS]
    pairs = [Pair(layer.update.A.detach(), layer.update.B.detach(), layer.update.s) for layer in layers]
    one = concatenated(pairs, [1.0] * len(pairs))
    drawing = beside_lora(
        "stack: adapters add up, and the sum is one adapter whose rank is the sum",
        "W = W₀ + Σ_{i} w_{i}s_{i}B_{i}A_{i} = W₀ + [B₁ B₂] [w₁s₁A₁; w₂s₂A₂], exactly",
        f"Ranks {' and '.join(map(str, RANKS))} make {len(one.A)}. "
        "Trained apart, they may still undo each other: see conflicts.",
        height=376,
    )
    terms: list[Term] = [w0(layers[0])]
    for i, pair in enumerate(pairs):
        hue = f"hue-{i + 1}"
        terms += [Word("+"), Matrix(f"B_{{{i + 1}}}", *pair.B.shape, hue), Matrix(f"A_{{{i + 1}}}", *pair.A.shape, hue)]
    row(drawing, terms, MIDDLE + 20, TOP - 6, RIGHT - MIDDLE - 20, 130)
    parts_b, parts_a, at = [], [], 0
    for i, pair in enumerate(pairs):
        r = len(pair.A)
        parts_b.append(Part(0, at, pair.B.shape[0], r, f"hue-{i + 1}"))
        parts_a.append(Part(at, 0, r, pair.A.shape[1], f"hue-{i + 1}"))
        at += r
    sum_of = [
        w0(layers[0]),
        Word("+"),
        Matrix("B", *one.B.shape, "", parts=tuple(parts_b)),
        Matrix("A", *one.A.shape, "", parts=tuple(parts_a)),
    ]
    drawing.text(MIDDLE + 30, TOP + 190, "=", size=18)
    row(drawing, sum_of, MIDDLE + 50, TOP + 116, 300, 140)
    return drawing
