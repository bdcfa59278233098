"""What is left of an adapter that was merged: the share of its gain against the size of its update."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill

from torch import Tensor

from lorabook.axes.base.blocks import unpack
from lorabook.axes.base.nf4 import NF4
from lorabook.book import style
from lorabook.book.figures.picture import Picture

TEXT = style.NEUTRAL.text
WIDTH, LETTERS = 5.2, 66


@dataclass(frozen=True)
class Merged:
    """An adapter after some steps: mean ‖ΔW‖/‖Ŵ‖, share of weights that merging recodes, and four losses."""

    step: int
    size: float
    recoded: float
    start: float
    apart: float
    four_bits: float
    sixteen_bits: float

    def kept(self, loss: float) -> float:
        """Return which share of the gain is still there at this loss."""
        return (self.start - loss) / (self.start - self.apart)


def recoded(before: Tensor, after: Tensor) -> Tensor:
    """Return the share of weights that NF4 stores under another code after than before."""
    codes = [unpack(NF4(w).packed) for w in (before, after)]
    return (codes[0] != codes[1]).float().mean()


def merging(runs: Mapping[str, Sequence[Merged]], sentence: str) -> Picture:
    """Draw the share of the gain that is left, against the size of the update; a line for each run and each format."""
    figure = style.figure(WIDTH, 3.2)
    figure.suptitle(fill(sentence, LETTERS), color=TEXT, fontsize=10, x=0.01, ha="left")
    axes = style.axes(figure, "", "‖ΔW‖ / ‖Ŵ‖, mean of the matrices (%)", "gain left after merging (%)")
    for place, (name, run) in enumerate(runs.items()):
        sizes = [100 * one.size for one in run]
        marker = style.MATPLOTLIB_MARKER[style.MARKERS[place]]
        for values, colour, dash, kind in (
            ([one.kept(one.sixteen_bits) for one in run], style.FROZEN.light, ":", "16 bits"),
            ([one.kept(one.four_bits) for one in run], style.OKABE_ITO[1 + place][0], "-", "4 bits"),
        ):
            shares = [100 * value for value in values]
            axes.plot(sizes, shares, dash, marker=marker, markersize=5, color=colour, label=f"{name}, into {kind}")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_ylim(-5, 112)
    axes.legend(frameon=False, labelcolor=TEXT, fontsize=8, loc="lower right")
    return Picture(sentence, figure)
