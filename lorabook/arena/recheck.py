"""Run rows of the record again: does a contender compute what it computed, does a run end where it ended?"""

import random
from collections.abc import Sequence
from typing import NamedTuple

from lorabook.arena.job import Row
from lorabook.arena.run import FINGERPRINT_STEP, run

FINGERPRINT_TOLERANCE = 1e-3
SCORE_TOLERANCE = 0.02
"""Relative. Other hardware sums in another order, and a whole training makes more of that than ten steps do."""


class Difference(NamedTuple):
    """A row, one of its numbers, what the record says and what came out now."""

    row: Row
    what: str
    recorded: float | str | None
    now: float | str | None

    def __str__(self) -> str:
        return f"{self.row.job.label}: {self.what} was {self.recorded}, is {self.now}"


def chosen(rows: Sequence[Row], number: int, seed: int) -> list[Row]:
    """Return so many finished rows, drawn by a seed; all if there are fewer."""
    finished = sorted((row for row in rows if row.state == "finished"), key=lambda row: row.job)
    return random.Random(seed).sample(finished, min(number, len(finished)))


def recheck(row: Row) -> list[Difference]:
    """Run a row again from start to end, and return where it differs."""
    now = run(row.job)
    found = _fingerprint(row, now)
    if not found and not _near(row.score, now.score, SCORE_TOLERANCE):
        found.append(Difference(row, "score", row.score, now.score))
    return found


def stale(row: Row) -> list[Difference]:
    """Run the first ten steps of a row again: nothing is returned while its contender computes the same as it did.

    An edited docstring makes no row stale; another base, another start or another step does.
    """
    return _fingerprint(row, run(row.job, FINGERPRINT_STEP + 1))


def _fingerprint(row: Row, now: Row) -> list[Difference]:
    if row.state != now.state and now.state != "finished":
        return [Difference(row, "state", row.state, f"{now.state}: {now.why}")]
    words = [(what, getattr(row, what), getattr(now, what)) for what in ("base", "size", "trained")]
    numbers = [(what, getattr(row, what), getattr(now, what)) for what in ("loss10", "norm10")]
    return [Difference(row, *each) for each in words if each[1] != each[2]] + [
        Difference(row, *each) for each in numbers if not _near(each[1], each[2], FINGERPRINT_TOLERANCE)
    ]


def _near(recorded: float | None, now: float | None, tolerance: float) -> bool:
    if recorded is None or now is None:
        return recorded is now
    return abs(recorded - now) <= tolerance * max(abs(recorded), abs(now), 1e-6)
