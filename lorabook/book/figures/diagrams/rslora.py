"""rsLoRA: what the scale does to one gradient step as the rank grows."""

import torch

import lorabook as lb
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.layers import adapt
from lorabook.book.figures.page import BOTTOM, TOP, beside_lora
from lorabook.book.figures.plot import Plot, Span

RANKS = (1, 2, 4, 8, 16, 32)


def after_one_step(recipe: lb.Recipe) -> float:
    """Return how far one step of gradient descent from B = 0 moves the output, on average over 64 inputs."""
    generator = torch.Generator().manual_seed(1)
    layer = adapt(recipe)
    moved = []
    for _ in range(64):
        x = torch.randn(1, layer.base.store.shape[1], generator=generator, dtype=torch.float64)
        pull = torch.randn(1, layer.base.store.shape[0], generator=generator, dtype=torch.float64)
        before = layer(x)
        (step,) = torch.autograd.grad((before * pull).sum(), [layer.update.B])
        moved.append((layer.scale * x @ layer.update.A.T @ step.T).norm().item())
    return sum(moved) / len(moved)


def draw() -> Drawing:
    drawing = beside_lora(
        "rsLoRA: divide by √r, and a gradient step keeps its size at any rank",
        "ΔW = (α/√r)·BA instead of (α/r)·BA",
        "Measured on the library's layers: B after one step of gradient descent from zero. Adam's first step differs.",
    )
    sizes = {
        "α/√r": ("trainable", [after_one_step(lb.LoRA(r, alpha=8.0) | lb.rsLoRA()) for r in RANKS]),
        "α/r": ("frozen", [after_one_step(lb.LoRA(r, alpha=8.0)) for r in RANKS]),
    }
    first = {scale: values[0] for scale, (_, values) in sizes.items()}
    plot = Plot(drawing, 330, TOP + 24, 310, BOTTOM - TOP - 74, Span(1, 32, log=True), Span(1 / 48, 2, log=True))
    plot.axes(
        "rank r (log scale)",
        "size of s·BAx against r = 1 (log scale)",
        {r: str(r) for r in RANKS},
        {1: "1", 1 / 4: "¼", 1 / 16: "1⁄16"},
    )
    for scale, (role, values) in sizes.items():
        shares = [value / first[scale] for value in values]
        plot.line(RANKS, shares, role)
        x, y = plot.at(RANKS[-1], shares[-1])
        drawing.text(x + 10, y + 5, f"s = {scale}", size=13, anchor="start", bold=scale == "α/√r")
    return drawing
