"""The tables of a sheet: a line for each item, and a line for each student as a learning platform imports it."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lorabook.book.pack.results import Result, read_results
from lorabook.book.pack.sheet import Sheet
from lorabook.book.refused import Refused
from lorabook.core.whole_file import replace_whole

OVERRIDES = ("student", "exercise", "points", "reason")


@dataclass(frozen=True)
class Override:
    """What a teacher decided by hand of one item of one student."""

    points: float
    reason: str


@dataclass(frozen=True)
class Score:
    """One item of one student, as it counts. `share` is what lateness leaves."""

    result: Result
    place: int
    share: float
    override: Override | None

    @property
    def points(self) -> float:
        """The points that count; what is decided by hand counts as it stands."""
        return self.override.points if self.override else round(self.result.items[self.place].points * self.share, 4)


def scores(sheet: Sheet, results: Sequence[Result]) -> list[Score]:
    """Return every item of every student with lateness and what was decided by hand.

    Raises:
        Refused: overrides.csv names nobody, or no number.
    """
    decided = _overrides(sheet, results)
    return [
        Score(result, place, result.kept_share(sheet), decided.get((result.student, item.exercise)))
        for result in results
        for place, item in enumerate(result.items)
    ]


def export(sheet: Sheet) -> tuple[Path, Path]:
    """Write scores.csv, a line for each item, and students.csv, a line for each student; return both paths.

    Raises:
        Refused: there are no results, or overrides.csv makes no sense.
    """
    every = scores(sheet, read_results(sheet))
    long = [("student", "exercise", "points", "of", "code", "late_share", "by_hand", "flags")]
    wide = [("student", *(item.name for item in sheet.items), "points", "of", "days_late", "flags")]
    for score in every:
        item, result = score.result.items[score.place], score.result
        by_hand = score.override.reason if score.override else ""
        long.append((result.student, item.exercise, f"{score.points:g}", f"{item.of:g}", item.code,
                     f"{score.share:g}", by_hand, "; ".join(result.flags)))  # fmt: skip
    for result in dict.fromkeys(score.result.student for score in every):
        own = [score for score in every if score.result.student == result]
        points, late = [score.points for score in own], own[0].result.days_late(sheet)
        of = sum(item.of for item in own[0].result.items)
        wide.append((result, *(f"{p:g}" for p in points), f"{sum(points):g}", f"{of:g}", str(late),
                     "; ".join(own[0].result.flags)))  # fmt: skip
    paths = sheet.folder / "scores.csv", sheet.folder / "students.csv"
    for path, rows in zip(paths, (long, wide), strict=True):
        _write(path, rows)
    return paths


def _write(path: Path, rows: Sequence[Sequence[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([[_harmless(cell) for cell in row] for row in rows])
    # With a mark at its start a spreadsheet reads names in any script.
    content = text.getvalue().encode("utf-8-sig", "replace")
    replace_whole(path, lambda partial: partial.write_bytes(content))


def _harmless(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: a student chooses a file's name, and so a cell."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") and not _is_number(cell) else cell


def _is_number(cell: str) -> bool:
    try:
        return float(cell) == float(cell)
    except ValueError:
        return False


def _overrides(sheet: Sheet, results: Sequence[Result]) -> dict[tuple[str, str], Override]:
    path = sheet.folder / "overrides.csv"
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file)
        if tuple(table.fieldnames or ()) != OVERRIDES:
            raise Refused(f"{path}: its first line is {table.fieldnames}; it must be {','.join(OVERRIDES)}")
        rows = list(table)
    known = {(result.student, item.exercise): item for result in results for item in result.items}
    decided = {}
    for number, row in enumerate(rows, 2):
        who = (row["student"], row["exercise"])
        if who not in known:
            raise Refused(f"{path}, line {number}: {who[0]!r} has no item {who[1]!r} in the results")
        try:
            points = float(row["points"])
        except (TypeError, ValueError):
            points = float("nan")
        if not 0 <= points <= known[who].of:
            raise Refused(f"{path}, line {number}: points is {row['points']!r}; a number from 0 to {known[who].of:g}")
        decided[who] = Override(points, row["reason"] or "decided by hand")
    return decided
