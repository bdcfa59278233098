"""Exercise: TIES, the mean of the adapters that agree with the elected sign, entry by entry."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise, Mistake
from lorabook.book.classroom.plain import Array, Matrix

Stack = list[Matrix]


@dataclass(frozen=True)
class Updates:
    """The ΔW of several adapters on one layer, and how many entries of each are kept."""

    deltas: Stack
    keep: int

    @property
    def given(self) -> dict[str, object]:
        return {"deltas": Array(self.deltas), "keep": self.keep}


def draw_cases(stream: random.Random) -> list[Updates]:
    """Return layers on which every step matters: no two entries are of one size, and no sum of three can be 0."""
    return [_case(3, 3, 3, 4, stream), _case(3, 2, 5, 6, stream), _case(3, 5, 6, 14, stream)]


def _case(n: int, d_out: int, d_in: int, keep: int, stream: random.Random) -> Updates:
    # Odd numbers, all different: neither two of them nor three cancel.
    sizes = stream.sample(range(11, 200, 2), n * d_out * d_in)
    numbers = iter(stream.choice((-1, 1)) * size / 100 for size in sizes)
    return Updates([[[next(numbers) for _ in range(d_in)] for _ in range(d_out)] for _ in range(n)], keep)


def largest(delta: Matrix, keep: int) -> Matrix:
    """Return the matrix with its `keep` largest entries by size; the others are 0."""
    bar = sorted((abs(x) for row in delta for x in row), reverse=True)[keep - 1]
    return [[x if abs(x) >= bar else 0.0 for x in row] for row in delta]


def _smallest(delta: Matrix, keep: int) -> Matrix:
    bar = sorted(abs(x) for row in delta for x in row)[keep - 1]
    return [[x if abs(x) <= bar else 0.0 for x in row] for row in delta]


def _largest_signed(delta: Matrix, keep: int) -> Matrix:
    bar = sorted((x for row in delta for x in row), reverse=True)[keep - 1]
    return [[x if x >= bar else 0.0 for x in row] for row in delta]


def _sign(x: float) -> int:
    return (x > 0) - (x < 0)


def _counted(values: list[float]) -> int:
    return _sign(sum(map(_sign, values)))


Vote = Callable[[list[float], list[float]], int]
Share = Callable[[list[float], list[float]], float]


def answer(
    c: Updates,
    trim: Callable[[Matrix, int], Matrix] = largest,
    elect: Vote = lambda trimmed, whole: _sign(sum(trimmed)),
    join: Share = lambda agreeing, values: sum(agreeing) / max(1, len(agreeing)),
) -> Matrix:
    """Return TIES' merged ΔW. Source: Yadav et al. 2023 (2306.01708), section 4."""
    kept = [trim(delta, c.keep) for delta in c.deltas]
    rows, columns = len(kept[0]), len(kept[0][0])

    def entry(i: int, j: int) -> float:
        values = [delta[i][j] for delta in kept]
        sign = elect(values, [delta[i][j] for delta in c.deltas])
        return join([x for x in values if _sign(x) == sign != 0], values)

    return [[entry(i, j) for j in range(columns)] for i in range(rows)]


NO_TRIM = "Nothing is trimmed. Of each ΔW only the `keep` entries of largest size stay; the others become 0 first."
SMALLEST = "You keep the smallest entries. The largest by size stay."
SIGNED = "You keep the largest numbers, so negative entries fall out first. Compare sizes: `.abs()`."
EARLY = "You elect the signs before you trim. What was trimmed away has no vote."
COUNT = "You count signs. TIES weighs them: the sign of the sum, so that a large entry outvotes two small ones."
ALL = "You divide by the number of adapters. Divide by the number of those that agree: the others have no say."
SUM = "You add the entries that agree. TIES takes their mean."
NO_ELECTION = "You take the mean of all that was kept. An entry of the sign that lost the vote must not count."
MISTAKES = (
    Mistake("no-trim", NO_TRIM, {"trim": lambda delta, keep: delta}),
    Mistake("smallest", SMALLEST, {"trim": _smallest}),
    Mistake("signed", SIGNED, {"trim": _largest_signed}),
    Mistake("early", EARLY, {"elect": lambda trimmed, whole: _sign(sum(whole))}),
    Mistake("count", COUNT, {"elect": lambda trimmed, whole: _counted(trimmed)}),
    Mistake("all", ALL, {"join": lambda agreeing, values: sum(agreeing) / len(values)}),
    Mistake("sum", SUM, {"join": lambda agreeing, values: sum(agreeing)}, points=0.5),
    Mistake(
        "no-election", NO_ELECTION, {"join": lambda agreeing, values: sum(values) / max(1, sum(x != 0 for x in values))}
    ),
)

EXERCISE = Exercise(
    title="Trim, elect, merge",
    function="merge_by_ties",
    difficulty=3,
    minutes=10,
    prompt=(
        "Write TIES in three steps, `merge_by_ties(deltas, keep)`. `deltas` is n × d_out × d_in, the ΔW of n adapters; "
        "all weights are 1. Trim: of each ΔW keep the `keep` entries of largest size, set the others to 0. Elect: at "
        "every place the sign of the sum of what was kept. Merge: at every place the mean of the kept entries that "
        "have this sign; 0 where there are none."
    ),
    hints=(
        "Sizes: `deltas.flatten(1).abs()`. Each adapter is trimmed by itself; `topk(keep, dim=1)` gives its entries.",
        "With `kept` trimmed: `agrees = kept.sign() == kept.sum(0).sign()`, and zeros must not count as agreeing.",
        "`(kept * agrees).sum(0) / agrees.sum(0).clamp(min=1)`, with `agrees &= kept != 0` before.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
)
