"""The table of a comparison: perplexity and its spread over seeds, from the losses of each contender's runs."""

import math
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lorabook.book.assignments import two_definitions as two
from lorabook.book.assignments.assignment import Part
from lorabook.book.classroom.compare import close
from lorabook.book.classroom.encode import Fault
from lorabook.book.classroom.judge import RIGHT, Judgement
from lorabook.book.classroom.limits import inside
from lorabook.book.classroom.observe import Given, numbers
from lorabook.book.classroom.seen import Seen

Row = tuple[float, float]


@dataclass(frozen=True)
class Losses:
    """The final losses of each contender, nats per token, one for each seed."""

    finals: tuple[tuple[float, ...], ...]

    @property
    def given(self) -> dict[str, object]:
        return {"finals": [list(runs) for runs in self.finals]}


def observe(function: Callable, given: Given) -> Seen:
    """Observe a table: a mean and a spread for each contender."""
    table = inside(lambda: inside(function)[0](given["finals"]))
    if not isinstance(table, list | tuple) or len(table) != len(given["finals"]):
        raise Fault("parts", "Return a list with one pair (mean, spread) for each contender, in their order.")
    return Seen((numbers(table),))


def draw(stream: random.Random) -> list[Losses]:
    """Return three comparisons of three contenders with three to five seeds."""
    return [
        Losses(tuple(tuple(round(stream.uniform(1, 4), 3) for _ in range(seeds)) for _ in range(3)))
        for seeds in (3, 4, 5)
    ]


def row(runs: Sequence[float], of_loss: bool = False, mean_first: bool = False, biased: bool = False) -> Row:
    values = list(runs) if of_loss else [math.exp(loss) for loss in runs]
    spread = (statistics.pstdev if biased else statistics.stdev)(values)
    return math.exp(statistics.fmean(runs)) if mean_first else statistics.fmean(values), spread


WRONG: dict[str, tuple[str, Callable[[Sequence[float]], Row]]] = {
    "losses": ("These are mean and spread of the losses: perplexity is e to the loss.", lambda r: row(r, of_loss=True)),
    "exp-of-mean": ("The mean is e to the mean loss, which is less than the mean of the perplexities.",
                    lambda r: row(r, mean_first=True)),
    "biased": ("The spread divides by n: of a few seeds, divide by n − 1.", lambda r: row(r, biased=True)),
    "error-of-mean": ("That is the standard error of the mean: the spread of the seeds is √n times as large.",
                      lambda r: (row(r)[0], row(r)[1] / len(r) ** 0.5)),
    "bits": ("Perplexity is e to a loss in nats; 2 to the loss is for bits.",
             lambda r: (statistics.fmean(2**x for x in r), statistics.stdev([2**x for x in r]))),
}  # fmt: skip


@dataclass(frozen=True)
class TableJudge:
    """What is due of a table."""

    @property
    def codes(self) -> frozenset[str]:
        return frozenset(WRONG) | {"table"}

    def __call__(self, trials: Sequence[Losses], seen: Sequence[Seen]) -> Judgement:
        """Return the judgement; a known mistake is worth nothing."""
        faults = [one for one in seen if one.fault]
        if faults:
            return Judgement(faults[0].fault, faults[0].says, 0.0)
        if self._are(trials, seen, row):
            return Judgement(RIGHT, "Perplexities and their spread are right.", 1.0)
        for code, (says, wrong) in WRONG.items():
            if self._are(trials, seen, wrong):
                return Judgement(code, says, 0.0)
        return Judgement("table", "Other numbers than are asked for, and no mistake that this assignment knows.", 0.0)

    def _are(self, trials: Sequence[Losses], seen: Sequence[Seen], rule: Callable[[Sequence[float]], Row]) -> bool:
        due = [[list(rule(runs)) for runs in trial.finals] for trial in trials]
        return all(close(one.parts[0], table) for one, table in zip(seen, due, strict=True))


TABLE = Part(
    "The table", ("summary",), 0.1,
    "Write `summary(finals)`: `finals` holds for each contender the final losses of its seeds, in nats per token. "
    "Return for each, in their order, the mean perplexity over the seeds and its spread, as of a few."
    " values: their standard deviation.",
    "def summary(finals):\n    # YOUR CODE HERE\n    raise NotImplementedError()",
    two.RULES, draw, observe, TableJudge(),
)  # fmt: skip
