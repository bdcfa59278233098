"""From what was measured, the seconds of any step: medians of the record, and straight lines between them."""

import statistics
from collections.abc import Callable, Iterable, Mapping

from lorabook.arena.serving_costs import RANKS, SIZES, Cost
from lorabook.many.ways import Prices


def prices(costs: Iterable[Cost], ranks: tuple[int, ...]) -> Prices:
    """Return the seconds of steps in which every request has an adapter of its own, of these ranks in turn.

    A batch in which some share one costs no more.

    Raises:
        KeyError: the record has no batch of some size.
    """
    found = {cost.key: cost for cost in costs}
    alone = {n: found[n, n, ranks] for n in SIZES}
    once = [found[1, 1, ranks] for ranks in RANKS if len(ranks) == 1]
    of_rank = [cost.ranks[0] for cost in once]
    return Prices(
        plain=_between({n: statistics.median(cost.base) for n, cost in alone.items()}),
        mixed=_between({n: statistics.median(cost.mixed) for n, cost in alone.items()}),
        copy=_between(dict(zip(of_rank, (statistics.median(cost.copy) for cost in once), strict=True))),
        merge=_between(dict(zip(of_rank, (statistics.median(cost.swap) for cost in once), strict=True))),
    )


def _between(points: Mapping[int, float]) -> Callable[[int], float]:
    """Return the function through these points, straight between neighbours and beyond the last two."""
    xs = sorted(points)

    def at(x: int) -> float:
        right = next((k for k in range(1, len(xs)) if x <= xs[k]), len(xs) - 1)
        low, high = xs[right - 1], xs[right]
        return points[low] + (points[high] - points[low]) * (x - low) / (high - low)

    return at
