"""Is one contender better than another? The paired t over seeds with Holm's correction, and what was visible.

This file needs scipy and statsmodels (`pip install 'lorabook[arena]'`); reading the record does not.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lorabook.arena.job import Row
from lorabook.arena.plan import Place
from lorabook.arena.summary import finals

LEVEL = 0.05
POWER = 0.8


@dataclass(frozen=True)
class Verdict:
    """`place` against `other` on the same seeds: mean difference of the score (below 0: `place` is better).

    p: after Holm's correction over the whole family. visible: the smallest difference that this many seeds with this
    spread would have shown four times in five, at level 5% before the correction.
    """

    place: Place
    other: Place
    seeds: int
    difference: float
    p: float
    visible: float

    @property
    def says(self) -> str:
        """One word, or that nothing was found at this size."""
        if self.p >= LEVEL:
            return "no difference found at this size"
        return "better" if self.difference < 0 else "worse"


def decide(rows: Sequence[Row], pairs: Iterable[tuple[Place, Place]]) -> list[Verdict]:
    """Return a verdict for every pair of places, as one family.

    Raises:
        ValueError: a pair shares fewer than three seeds.
    """
    from scipy.stats import ttest_rel
    from statsmodels.stats.multitest import multipletests

    raw = []
    for place, other in pairs:
        mine, theirs = finals(rows, place), finals(rows, other)
        seeds = sorted(mine.keys() & theirs.keys())
        if len(seeds) < 3:
            raise ValueError(
                f"{place.method} and {other.method} on {place.task} share {len(seeds)} seeds; 3 are needed"
            )
        a, b = [mine[seed] for seed in seeds], [theirs[seed] for seed in seeds]
        p = 1.0 if a == b else float(ttest_rel(a, b).pvalue)  # the same run: there is nothing to find
        raw.append((place, other, [x - y for x, y in zip(a, b, strict=True)], p))
    if not raw:
        return []
    corrected = multipletests([p for *_, p in raw], LEVEL, method="holm")[1]
    return [
        Verdict(place, other, len(gaps), sum(gaps) / len(gaps), float(p), _visible(gaps))
        for (place, other, gaps, _), p in zip(raw, corrected, strict=True)
    ]


def _visible(gaps: Sequence[float]) -> float:
    """Return the difference that a paired t of this many pairs with this spread finds with probability `POWER`."""
    from statistics import stdev

    from statsmodels.stats.power import TTestPower

    spread = stdev(gaps)
    if spread == 0:
        return 0.0
    return float(TTestPower().solve_power(nobs=len(gaps), alpha=LEVEL, power=POWER)) * spread
