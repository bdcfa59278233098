"""Effective rank of what was trained against the loss at the end, out of the arena's record of the Bible."""

from collections.abc import Sequence
from textwrap import fill

from lorabook.arena.experiment import FULL
from lorabook.arena.methods import BASELINE
from lorabook.arena.plan import Place
from lorabook.arena.record import Record
from lorabook.arena.summary import Summary, summaries
from lorabook.arena.tasks import KJV
from lorabook.book import style
from lorabook.book.figures.picture import Picture

TEXT = style.NEUTRAL.text
WIDTH, LETTERS = 5.2, 66
EQUAL = (BASELINE, "LoHa", "MELoRA", "DoRA", "LoKr", "HiRA")
"""Contenders with about LoRA's numbers at r = 8 whose ranks lie far apart."""
OTHERS = (Place("LoRA r=2", KJV.name, "own"), Place("LoRA r=32", KJV.name, "own"), Place("HiRA", KJV.name, "own"),
          Place(FULL, KJV.name, "own"))  # fmt: skip
"""Contenders with fewer numbers or more."""


def equal_numbers(record: Record | None = None) -> dict[str, Summary]:
    """Return the summaries of `EQUAL` by name.

    Raises:
        ValueError: the record lacks one of them.
    """
    return {place.method: one for place, one in _found(record, _equal()).items()}


def rank_and_loss(sentence: str, record: Record | None = None) -> Picture:
    """Draw mean and standard deviation of the loss over the effective rank; filled: as many numbers as LoRA.

    Raises:
        ValueError: the record lacks one of the contenders.
    """
    figure = style.figure(WIDTH, 3.3)
    figure.suptitle(fill(sentence, LETTERS), color=TEXT, fontsize=10, x=0.01, ha="left")
    axes = style.axes(figure, "", "effective rank of ΔW, mean of 28 matrices (log scale)", "loss at the end (nats)")
    found = _found(record, (*_equal(), *OTHERS))
    for place, one in found.items():
        equal = place.budget == "equal"
        colour = style.TRAINABLE.light if equal else style.FROZEN.light
        axes.errorbar(one.rank, one.mean, one.spread, color=colour, marker="o" if equal else "D", capsize=2,
                      markerfacecolor=colour if equal else "none", linewidth=1)  # fmt: skip
        name = place.method.split(" r=")[0]
        told = name if equal else f"{name}, {one.trained / 1e3:,.0f}k"
        end, away = (one.spread, 4) if equal else (-one.spread, -12)
        axes.annotate(told, (one.rank, one.mean + end), (0, away), textcoords="offset points", ha="center", color=TEXT,
                      fontsize=8)  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlim(1.2, 320)
    axes.margins(y=0.12)
    ticks = (2, 5, 10, 20, 50, 100, 192)
    axes.set_xticks(ticks, map(str, ticks))
    axes.minorticks_off()
    return Picture(sentence, figure)


def _equal() -> tuple[Place, ...]:
    return tuple(Place(name, KJV.name, "equal") for name in EQUAL)


def _found(record: Record | None, wanted: Sequence[Place]) -> dict[Place, Summary]:
    known = {one.place: one for one in summaries((record or Record()).rows())}
    if missing := [place for place in wanted if place not in known]:
        raise ValueError(
            f"the record has no tuned row of {missing[0].method} on {missing[0].task}, {missing[0].budget} budget: run "
            "`lorabook arena`"
        )
    return {place: known[place] for place in wanted}
