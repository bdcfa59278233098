"""From what was measured, the seconds of any step: ratios within a round, and straight lines between them."""

import statistics
from collections.abc import Callable, Mapping, Sequence

from lorabook.arena.serving_costs import RANKS, SIZES, Cost, ratio
from lorabook.many.ways import Prices


def prices(costs: Sequence[Cost], ranks: tuple[int, ...]) -> Prices:
    """Return the seconds of steps in which every request has an adapter of its own, of these ranks in turn.

    A step of the bare base costs its median over the record; all else is that times a median ratio, so that a machine
    that was busier in one hour than in another makes no way dearer.

    Raises:
        KeyError: the record lacks a batch of one of `SIZES`.
    """
    found = {cost.key: cost for cost in costs}
    plain = {n: statistics.median(t for cost in costs if cost.rows == n for t in cost.base) for n in SIZES}
    alone = {n: found[n, n, ranks] for n in SIZES}
    of_rank = {each[0]: found[1, 1, each] for each in RANKS if len(each) == 1}
    return Prices(
        plain=_between(plain),
        mixed=_between({n: plain[n] * ratio(cost.mixed, cost.base)[1] for n, cost in alone.items()}),
        copy=_between({r: plain[1] * ratio(cost.copy, cost.base)[1] for r, cost in of_rank.items()}),
        merge=_between({r: plain[1] * ratio(cost.swap, cost.base)[1] for r, cost in of_rank.items()}),
    )


def _between(points: Mapping[int, float]) -> Callable[[int], float]:
    """Return the function through these points, straight between neighbours and beyond the last two."""
    xs = sorted(points)

    def at(x: int) -> float:
        right = next((k for k in range(1, len(xs)) if x <= xs[k]), len(xs) - 1)
        low, high = xs[right - 1], xs[right]
        return points[low] + (points[high] - points[low]) * (x - low) / (high - low)

    return at
