"""Serving explorer: a thousand customers' requests through one pool of pages, in simulated time, in three ways.

Pages, admission and turns are the library's (`many.pages`, `many.scheduler`, `many.ways`). The seconds of a step, of a
copy and of a merge are the recorded ones of the book's decoder. A page holds one rank of an adapter on all layers, or
as many cached positions as are no more numbers. Reading a prompt takes no time here, for it is the same for all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from lorabook.arena.serving_costs import Cost, read
from lorabook.arena.serving_prices import prices
from lorabook.book import style
from lorabook.book.explore.explorer import Explorer, tabled_explorer
from lorabook.book.explore.state import Choice, Steps, control, folded
from lorabook.cost.count import layer_matrices
from lorabook.many.pages import Pages
from lorabook.many.simulated import Asked, Served, Span, serve, stream
from lorabook.many.ways import InTurn, Mixed, OneModelEach, Prices, Way
from lorabook.models.decoder import DecoderConfig

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHAPE = DecoderConfig()
SIZES = layer_matrices(SHAPE).values()
RANK = SHAPE.layers * sum(d_out + d_in for d_out, d_in in SIZES)
MODEL = -(-SHAPE.layers * sum(d_out * d_in for d_out, d_in in SIZES) // RANK)
"""Numbers in one rank of an adapter; pages that the adapted matrices of a whole model fill."""
POSITIONS = RANK // (2 * SHAPE.layers * SHAPE.kv_heads * SHAPE.d_head)
"""Cached positions in a page."""
CUSTOMERS, PROMPT, BATCH = 1000, 128, 32
SECONDS, EVERY = 12, 0.1
"""How long it goes on, and how often the curves have a point."""
RANKS: dict[str, tuple[int, ...]] = {"all 8": (8,), "8 to 64": (8, 16, 32, 64), "all 64": (64,)}
MIXED, TURNS, EACH = "S-LoRA", "merged in turn", "one model each"
IDLE, CACHE = 2000, 5000
"""A page's number is 0 if it is free, k for customer k's adapter, `IDLE` + k if nobody uses that now, and `CACHE` + n
for the cache of request n."""


@dataclass(frozen=True)
class State:
    """The pool, the adapters' ranks, how many requests come, the moment that is drawn; and whose pool is drawn."""

    pool: int = control(192, Steps("pool", (96, 192, 384), "pages"))
    ranks: str = control("all 8", Choice("ranks", tuple(RANKS)))
    rate: int = control(16, Steps("requests", (2, 4, 8, 16, 32), "/s"))
    t: int = control(4, Steps("moment", tuple(range(1, SECONDS + 1)), "s"))
    way: str = folded(MIXED, Choice("draw the pool of", (MIXED, TURNS, EACH)))


@dataclass(frozen=True)
class Result:
    """One moment of one way, its curves, and what all ways come to.

    owners: what each page holds. gap: how many free pages adjoin at most. running, waiting: requests, every 0.1 s.
    waits: seconds until the first token, or until the end; tokens: a second; rows: requests in a step; loading: the
    share of the time that goes into copies and merges.
    """

    owners: np.ndarray
    free: int
    gap: int
    running: np.ndarray
    waiting: np.ndarray
    names: tuple[str, ...]
    waits: tuple[float, ...]
    tokens: tuple[float, ...]
    rows: tuple[float, ...]
    loading: tuple[float, ...]
    sentence: str


@dataclass(frozen=True)
class Day:
    """A whole run of one way."""

    owners: tuple[np.ndarray, ...]
    running: np.ndarray
    waiting: np.ndarray
    wait: float
    tokens: float
    rows: float
    loading: float


def serving_days() -> Explorer:
    """Return the explorer, at the recorded costs."""
    return explore_days(days(read()))


def explore_days(day: Callable[[str, int, str, int], Day]) -> Explorer:
    """Return the explorer of these runs."""
    return tabled_explorer("serving", State(), lambda state: compute(state, day), still)


def days(costs: Sequence[Cost]) -> Callable[[str, int, str, int], Day]:
    """Return the run of a way, a pool, ranks and a rate; each is played once."""
    by_ranks = {name: prices(costs, ranks) for name, ranks in RANKS.items()}

    @cache
    def day(way: str, pool: int, ranks: str, rate: int) -> Day:
        return simulate(ways(pool, ranks, by_ranks[ranks])[way], rate)

    return day


def ways(pool: int, ranks: str, paid: Prices) -> Mapping[str, Way]:
    """Return every way with a pool of its own. Models of their own lie in the base's place too."""
    own = {str(k + 1): RANKS[ranks][k % len(RANKS[ranks])] for k in range(CUSTOMERS)}
    return {
        MIXED: Mixed(Pages(pool), own, BATCH, paid),
        TURNS: InTurn(Pages(pool), own, BATCH, paid),
        EACH: OneModelEach(Pages(pool + MODEL), own, BATCH, paid, MODEL),
    }


def simulate(way: Way, rate: int) -> Day:
    """Send the stream of a rate through a way, and look at its pool every second."""
    asked, moments, seen = _asked(rate), list(range(1, SECONDS + 1)), list[np.ndarray]()

    def look(span: Span) -> None:
        while moments and moments[0] < span.end:
            seen.append(owners(way.scheduler.pages))
            moments.pop(0)

    served = serve(way, asked, SECONDS, look)
    waits = [min(served.first.get(one.request.name, SECONDS), SECONDS) - one.request.arrival for one in asked]
    busy = sum(span.steps for span in served.spans if span.rows)
    end = served.spans[-1].end
    seen += [owners(way.scheduler.pages)] * len(moments)
    return Day(
        tuple(seen), *_curves(served), float(np.mean(waits)), served.tokens / end, served.tokens / busy,
        sum(span.loading for span in served.spans) / end,
    )  # fmt: skip


def owners(pages: Pages) -> np.ndarray:
    """Return what each page holds, as the numbers of `Result.owners`."""
    found = np.zeros(pages.count, np.uint16)
    for owner in pages.owners:
        code = CACHE + owner[1] if isinstance(owner, tuple) else int(owner) + IDLE * (not pages.is_pinned(owner))
        found[pages.rows(owner)] = code
    return found


def compute(state: State, day: Callable[[str, int, str, int], Day]) -> Result:
    """Put one moment of the way that is drawn beside what all come to."""
    days = {way: day(way, state.pool, state.ranks, state.rate) for way in (MIXED, TURNS, EACH)}
    shown, each = days[state.way], tuple(days.values())
    held = shown.owners[state.t - 1]
    waits = [f"{one.wait:.2f} s" for one in each]
    sentence = (
        f"{state.rate} requests a second, ranks {state.ranks}, {state.pool} pages. Mean wait for the first token: "
        f"{waits[0]} with S-LoRA, {waits[1]} if adapters are merged in turn, {waits[2]} with one model each."
    )
    return Result(
        held, int((held == 0).sum()), longest_run(held == 0), shown.running, shown.waiting, tuple(days),
        tuple(one.wait for one in each), tuple(one.tokens for one in each), tuple(one.rows for one in each),
        tuple(one.loading for one in each), sentence,
    )  # fmt: skip


def longest_run(true: np.ndarray) -> int:
    """Return how many true entries adjoin at most."""
    ends = np.flatnonzero(np.diff(np.concatenate(([0], true.astype(np.int8), [0]))))
    return int((ends[1::2] - ends[::2]).max(initial=0))


def still(state: State, result: Result) -> "Figure":
    """Draw the waits and the pool without a browser."""
    figure = style.figure(5.2, 3.4)
    figure.suptitle(result.sentence, color=style.NEUTRAL.text, fontsize=9, x=0.01, ha="left", wrap=True)
    bars = style.axes(figure, "", "mean wait (s)", "", (2, 1, 1))
    colours = [style.TRAINABLE.light if name == state.way else style.FROZEN.light for name in result.names]
    bars.barh(result.names[::-1], result.waits[::-1], color=colours[::-1])
    grid = style.axes(figure, f"{state.way}, after {state.t} s: {result.free} pages are free", "", "", (2, 1, 2))
    y, x = np.divmod(np.arange(len(result.owners)), 48)
    kinds = np.digitize(result.owners, (1, IDLE + 1, CACHE))
    look = (style.NEUTRAL.grid, style.TRAINABLE.light, style.TRAINABLE.light + "55", style.QUANTISED.light)
    for kind, colour in enumerate(look):
        grid.scatter(x[kinds == kind], -y[kinds == kind], marker="s", s=22, color=colour, linewidths=0)
    grid.set_ylim(-11, 1)  # the lines of the largest pool
    grid.set_axis_off()
    return figure


def _curves(served: Served) -> tuple[np.ndarray, np.ndarray]:
    times = np.arange(0, SECONDS, EVERY)
    place = np.searchsorted([span.start for span in served.spans], times, side="right") - 1
    running, waiting = ([getattr(span, name) for span in served.spans] for name in ("rows", "waiting"))
    return np.array(running, np.uint16)[place], np.array(waiting, np.uint16)[place]


@cache
def _asked(rate: int) -> list[Asked]:
    seeded = torch.Generator().manual_seed(0)
    return stream(rate, SECONDS, CUSTOMERS, lambda tokens: -(-(PROMPT + tokens) // POSITIONS), seeded)
