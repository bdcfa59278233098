"""What chapter 03 reads off the records, and its picture: the parts of an attention score while q and k train."""

import torch
from torch import Tensor, nn

from lorabook.arena.experiment import at
from lorabook.arena.methods import BASELINE
from lorabook.arena.record import Record
from lorabook.arena.summary import finals
from lorabook.arena.where_losses import recorded
from lorabook.axes.attention.score_terms import score_terms
from lorabook.book import style
from lorabook.book.figures.picture import Picture

WIDTH = 5.2
PLACES = ("LoRA on attention", "LoRA on MLP", BASELINE)


def losses() -> dict[str, float]:
    """Return the recorded loss of every choice, "q" and "q, v" and their like."""
    return dict(recorded().of)


def ended(task: str) -> dict[str, list[float]]:
    """Return the losses of attention, of the MLP and of all seven at the end, the seeds in one order."""
    rows = Record().rows()
    found = {name: finals(rows, at(name, task)) for name in PLACES}
    return {name: [losses[seed] for seed in sorted(losses)] for name, losses in found.items()}


class ScoreParts:
    """Watches a training: after each step, the root mean square of the parts of one layer's scores on the same text.

    Args:
        layer: which layer's attention; its q_proj and k_proj are adapted.
    """

    names = ("frozen q₀·k₀", "first order", "second order")

    def __init__(self, model: nn.Module, layer: int, tokens: Tensor) -> None:
        self.model, self.tokens, self.attention = model, tokens, model.layers[layer].self_attn
        self.sizes: list[tuple[float, float, float]] = []

    @torch.no_grad()
    def __call__(self, step: int, loss: float) -> None:
        """Measure them; `fit` calls it as `on_step`."""
        seen: list[tuple[Tensor, ...]] = []
        hook = self.attention.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs))
        try:
            self.model(self.tokens)
        finally:
            hook.remove()
        self.sizes.append(score_terms(self.attention, *seen[-1]).sizes())

    def picture(self, sentence: str) -> Picture:
        """Draw the parts over the steps, each named at its line's end."""
        figure = style.figure(WIDTH, 2.6)
        axes = style.axes(figure, sentence, "step", "RMS of the part of q·k/√d (log)")
        axes.set_yscale("log")
        strokes = (style.Stroke(style.FROZEN.light, style.FROZEN.light, "solid", "circle"), *map(style.series, (1, 2)))
        lines = zip(self.names, zip(*self.sizes, strict=True), strokes, (5, -8, -8), strict=True)
        for name, sizes, stroke, up in lines:
            steps = range(1, len(sizes) + 1)
            dash, marker = style.MATPLOTLIB_DASH[stroke.dash], style.MATPLOTLIB_MARKER[stroke.marker]
            axes.plot(steps, sizes, color=stroke.light, linestyle=dash, marker=marker, markersize=4)
            axes.annotate(
                name, (steps[-1], sizes[-1]), (7, up), textcoords="offset points", va="center",
                color=style.NEUTRAL.text, fontsize=8,
            )  # fmt: skip
        axes.set_xlim(right=1.35 * len(self.sizes))
        axes.set_xticks(range(0, len(self.sizes) + 1, 5))
        return Picture(sentence, figure)
