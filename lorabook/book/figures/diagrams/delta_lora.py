"""Delta-LoRA: what W₀ moves by telescopes, and the whole is a LoRA with a larger α."""

import torch
from torch import nn

import lorabook as lb
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.layers import ALPHA, RANK, adapt, delta, fit_towards, plain_layer
from lorabook.book.figures.page import BOTTOM, MIDDLE, TOP, beside_lora
from lorabook.book.figures.plot import Plot, Span

RATE, STEPS, SHOWN = 2.0, 10, 3


def path(recipe: lb.Recipe) -> list[float]:
    """Return ‖W − W₀‖ after each step of a run towards another matrix."""
    layer, goal = adapt(recipe), plain_layer(seed=5).weight.detach()
    lengths = [delta(layer).norm().item()]

    def note(step: int, loss: float) -> None:
        lengths.append(delta(layer).norm().item())

    x = torch.eye(goal.shape[1], dtype=torch.float64)
    fit_towards(nn.Sequential(layer), x, goal.T, STEPS, note)
    return lengths


def draw() -> Drawing:
    drawing = beside_lora(
        "Delta-LoRA: W₀ moves too, but its moves telescope: LoRA with α(1 + λ)",
        "W₀ ← W₀ + λs·(B_{t+1}A_{t+1} − B_{t}A_{t}) after every step; with a constant λ, rank ≤ 2r",
        f"Measured on the library's layers with AdamW; λ = {RATE:g} from step 0 on, where BA = 0.",
    )
    _stairs(drawing)
    delta_lora, larger_alpha, plain = (
        path(recipe)
        for recipe in (
            lb.DeltaLoRA(r=RANK, alpha=ALPHA, rate=RATE),
            lb.LoRA(r=RANK, alpha=ALPHA * (1 + RATE)),
            lb.LoRA(r=RANK, alpha=ALPHA),
        )
    )
    plot = Plot(drawing, 524, TOP + 34, 108, BOTTOM - TOP - 82, Span(0, STEPS), Span(0, 6))
    plot.axes("step", "‖W − W₀‖", {0: "0", STEPS: f"{STEPS}"}, {3: "3", 6: "6"})
    steps = range(STEPS + 1)
    plot.line(steps, plain, "frozen", width=2)
    plot.line(steps, delta_lora, "trainable", width=6)
    plot.line(steps, larger_alpha, "reference", width=2)
    x, y = plot.at(STEPS, delta_lora[-1])
    drawing.text(x + 8, y - 4, "Delta-LoRA, and", size=11, anchor="start", bold=True)
    drawing.text(x + 8, y + 10, f"LoRA, α = {ALPHA * (1 + RATE):g}", size=11, anchor="start", bold=True)
    drawing.text(x + 8, plot.at(STEPS, plain[-1])[1] + 6, f"LoRA, α = {ALPHA:g}", size=11, anchor="start")
    return drawing


def _stairs(drawing: Drawing) -> None:
    """Write the moves of a few steps one below the other, equal terms in one column: they cancel."""
    left, wide, high = MIDDLE + 78, 56, 30
    for t in range(SHOWN):
        y = TOP + 48 + high * t
        drawing.note(left - 34, y, f"step {t + 1}", anchor="end")
        for sign, at in (("−", t), ("+", t + 1)):
            stays = at in (0, SHOWN)
            drawing.text(
                left + wide * at, y, f"{sign} {_product(at)}", size=13, bold=stays, role="text" if stays else "quiet"
            )
            if not stays:
                drawing.line([(left + wide * at - 20, y + 2), (left + wide * at + 22, y - 10)], "quiet", width=1.5)
    y = TOP + 48 + high * SHOWN
    drawing.line([(left - 28, y - 16), (left + wide * SHOWN + 26, y - 16)], "quiet")
    drawing.note(left - 34, y + 5, "sum", anchor="end")
    drawing.text(left, y + 5, f"− {_product(0)}", size=13, bold=True)
    drawing.text(left + wide * SHOWN, y + 5, f"+ {_product(SHOWN)}", size=13, bold=True)


def _product(t: int) -> str:
    return f"B_{{{t}}}A_{{{t}}}"
