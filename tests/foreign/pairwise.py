"""Every pair of values of every two factors, in few cases."""

from collections.abc import Sequence
from itertools import combinations, product


def pairwise(factors: Sequence[Sequence[str]], apart: tuple[int, int] = (-1, -1)) -> list[tuple[str, ...]]:
    """Return cases, one value of every factor each, that hold every pair of values of two factors between them.

    Args:
        apart: two factors of which not every pair must be there.
    """
    places = [pair for pair in combinations(range(len(factors)), 2) if pair != apart]
    left = {(i, j, a, b) for i, j in places for a, b in product(factors[i], factors[j])}
    cases = []
    while left:
        i, j, a, b = min(left, key=lambda pair: tuple(map(str, pair)))
        case = {i: a, j: b}
        for k in range(len(factors)):
            if k not in case:
                case[k] = max(factors[k], key=lambda value, k=k: sum(_pair(k, value, m, case[m]) in left for m in case))
        cases.append(tuple(case[k] for k in range(len(factors))))
        left -= {_pair(m, case[m], n, case[n]) for m, n in places}
    return cases


def _pair(i: int, a: str, j: int, b: str) -> tuple[int, int, str, str]:
    return (i, j, a, b) if i < j else (j, i, b, a)
