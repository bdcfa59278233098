"""Chapter 02's pictures: who moves first, and the loss of each contender over its learning rates."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING

from lorabook.arena.budget import budgets_of, method_named
from lorabook.arena.plan import UNIT, Place, grouped, tuned
from lorabook.arena.record import Record
from lorabook.arena.tasks import KJV
from lorabook.book import style
from lorabook.book.figures.picture import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TEXT = style.NEUTRAL.text
FULL = "full fine-tuning"
WIDTH = 5.2
REFERENCE = style.Stroke(TEXT, TEXT, style.REFERENCE.dash, "circle")


def recorded_rates(names: Iterable[str]) -> dict[str, dict[float, float]]:
    """Return each contender's loss on the Bible for every rate at which the arena tuned it, in order of the rates.

    Raises:
        ValueError: there is no such contender, or no tuned row of it.
    """
    groups, found = grouped(Record().rows()), {}
    for name in names:
        scores = tuned(groups[Place(name, KJV.name, budgets_of(method_named(name))[0])])
        if not scores:
            raise ValueError(f"the record has no tuned row of {name} on {KJV.name} yet: run `lorabook arena`")
        found[name] = dict(sorted(scores.items()))
    return found


def recorded_base() -> float:
    """Return the loss of the book's model on the Bible before any training, in nats per token, as recorded."""
    return next(row.start for row in Record().rows() if row.task == KJV.name and row.start is not None)


def gradient_norms(norms: Mapping[str, Sequence[float]], sentence: str) -> Picture:
    """Draw named gradient norms against the step, counted from 0; a name stands at its line's end."""
    figure = style.figure(WIDTH, 2.6)
    axes = style.axes(figure, sentence, "step", "gradient norm")
    for place, (name, values) in enumerate(norms.items()):
        _line(axes, range(len(values)), values, style.series(place))
        _name(axes, name, len(values) - 1, values[-1], 1)
    axes.xaxis.get_major_locator().set_params(integer=True)
    return Picture(sentence, figure)


def over_rates(losses: Mapping[str, Mapping[float, float]], base: float, sentence: str) -> Picture:
    """Draw the loss against the learning rate, a line for each contender, named where it begins, and the base."""
    figure = style.figure(WIDTH, 3.4)
    axes = style.axes(figure, sentence, "learning rate (log scale)", "loss on unseen text (nats per token)")
    places = count()
    for name, by_rate in losses.items():
        stroke = REFERENCE if name == FULL else style.series(next(places))
        _line(axes, list(by_rate), list(by_rate.values()), stroke)
        _name(axes, name, min(by_rate), by_rate[min(by_rate)], -1)
    rates = sorted({rate for by_rate in losses.values() for rate in by_rate})
    axes.set_xscale("log", base=2)
    ticks = [rate for rate in rates if (rate / UNIT).is_integer()]
    axes.set_xticks(ticks, [f"{rate:g}" for rate in ticks])
    axes.set_xlim(left=rates[0] / 2.8)
    axes.axhline(base, color=style.FROZEN.light, linewidth=1.2)
    axes.annotate("the base, untrained", (rates[0], base), (0, 4), textcoords="offset points", color=TEXT, fontsize=8)
    return Picture(sentence, figure)


def _line(axes: "Axes", x: Sequence[float], y: Sequence[float], stroke: style.Stroke) -> None:
    dash, marker = style.MATPLOTLIB_DASH[stroke.dash], style.MATPLOTLIB_MARKER[stroke.marker]
    axes.plot(x, y, color=stroke.light, linestyle=dash, marker=marker, markersize=5)


def _name(axes: "Axes", name: str, x: float, y: float, side: int) -> None:
    """Write a line's name beside one of its ends: on the left (−1) or the right (1)."""
    axes.annotate(
        name, (x, y), (7 * side, 0), textcoords="offset points", va="center", ha="left" if side > 0 else "right",
        color=TEXT, fontsize=8,
    )  # fmt: skip
