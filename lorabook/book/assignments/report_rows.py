"""The results of a report as data: `results.json`, a row for each run, and its curve as CSV."""

import csv
import io
import json
import math
import statistics
from dataclasses import dataclass

from lorabook.book.assignments.file_part import Fault, Files

RESULTS, TEXT = "results.json", "report.md"
FORMS = ("LoRA", "LoHa", "VeRA")
STEPS, SEEDS = 20, 3
FIELDS = {
    "form": str,
    "r": int,
    "alpha": float,
    "rate": float,
    "seed": int,
    "trained": int,
    "final": float,
    "curve": str,
}
LARGEST_R = 64


@dataclass(frozen=True)
class Row:
    """One run: its form, its numbers, where its curve is, and the final loss in nats per token."""

    form: str
    r: int
    alpha: float
    rate: float
    seed: int
    trained: int
    final: float
    curve: str

    @property
    def contender(self) -> tuple[str, int, float, float]:
        """What seeds are compared for."""
        return self.form, self.r, self.alpha, self.rate


def rows(files: Files) -> list[Row]:
    """Return the rows of `results.json`.

    Raises:
        Fault: it is missing, is no JSON, or a row has another shape; LoRA or a second form has fewer than three seeds.
    """
    if RESULTS not in files:
        raise Fault("not-attempted", f"There is no {RESULTS} beside the notebook.")
    try:
        told = json.loads(files[RESULTS].decode("utf-8-sig"))
        found = [_row(place, one) for place, one in enumerate(told["rows"])]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise Fault(
            "no-json", f'{RESULTS} is no JSON of the shape {{"rows": [...]}}: {type(error).__name__}.'
        ) from None
    if len({(row.contender, row.seed) for row in found}) < len(found):
        raise Fault("twice", "A contender has two rows of one seed.")
    seeds = {form: _seeds(form, found) for form in FORMS}
    if seeds["LoRA"] < SEEDS or not any(seeds[form] >= SEEDS for form in FORMS[1:]):
        raise Fault("seeds", f"LoRA and one other form need at least {SEEDS} seeds each, with one r, α and rate.")
    return found


def _row(place: int, one: dict) -> Row:
    for name, kind in FIELDS.items():
        value = one.get(name)
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        fits = isinstance(value, str) if kind is str else number and (kind is float or value == int(value))
        if not fits:
            raise Fault("schema", f"Row {place} of {RESULTS}: {name} must be a {kind.__name__}.")
    row = Row(**{name: kind(one[name]) for name, kind in FIELDS.items()})
    sizes = 1 <= row.r <= LARGEST_R and 0 < row.rate < 10 and 0 < row.alpha < 1000 and 0 < row.final < 20
    if row.form not in FORMS or not sizes or not 0 <= row.seed < 2**31 or not 0 < row.trained < 2**31:
        allowed = f"form is one of {', '.join(FORMS)}, r from 1 to {LARGEST_R}, α, rate and final are positive"
        raise Fault("schema", f"Row {place} of {RESULTS}: {allowed}.")
    return row


def _seeds(form: str, found: list[Row]) -> int:
    contenders = [row.contender for row in found if row.form == form]
    return max((contenders.count(one) for one in contenders), default=0)


def curve(files: Files, row: Row) -> list[float]:
    """Return the losses of a row's CSV.

    Raises:
        Fault: it is missing, or is no table `step,loss` with a line for each step.
    """
    if row.curve not in files:
        raise Fault("no-curve", f"The curve of {row.form}, seed {row.seed}, is not there.")
    try:
        table = list(csv.reader(io.StringIO(files[row.curve].decode("utf-8-sig"))))
        losses = [float(line[1]) for line in table[1:]]
        steps = [int(line[0]) for line in table[1:]]
    except (ValueError, IndexError, csv.Error):
        raise Fault("no-table", f"The curve of {row.form}, seed {row.seed}, is no table of numbers.") from None
    if table[:1] != [["step", "loss"]] or steps != list(range(STEPS)) or not all(map(math.isfinite, losses)):
        raise Fault("no-table", f"A curve has the head `step,loss` and a line for each step from 0 to {STEPS - 1}.")
    return losses


def spread(row: Row, found: list[Row]) -> float:
    """Return the standard deviation of the final loss over the seeds of a row's contender; 0 of one."""
    finals = [other.final for other in found if other.contender == row.contender]
    return statistics.stdev(finals) if len(finals) > 1 else 0.0
