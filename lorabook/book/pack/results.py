"""A student's result, as the file that `grade` writes: what was handed in, what it was tried with, each verdict."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from lorabook.book.pack.sheet import Sheet
from lorabook.book.pack.submissions import file_name
from lorabook.book.refused import Refused
from lorabook.core.whole_file import replace_whole

VERSION = 1


@dataclass(frozen=True)
class Marked:
    """One item: the verdict on all cases, and on the public ones; the student's code as it was run."""

    exercise: str
    points: float
    of: float
    code: str
    says: str
    public_code: str
    public_says: str
    source: str


@dataclass(frozen=True)
class Result:
    """All items of one student. `made_of` says what it depends on: grading again with the same is not needed."""

    student: str
    sheet: str
    made_of: dict[str, str]
    handed_in: str | None
    flags: tuple[str, ...]
    items: tuple[Marked, ...]

    @property
    def points(self) -> float:
        """The sum of the points, before lateness and what is decided by hand."""
        return sum(item.points for item in self.items)

    def days_late(self, sheet: Sheet) -> int:
        """Return how many days were begun after the sheet was due; 0 where a time is not known."""
        if sheet.due is None or self.handed_in is None:
            return 0
        over = datetime.fromisoformat(self.handed_in) - sheet.due
        return max(0, -(-over // timedelta(days=1)))

    def kept_share(self, sheet: Sheet) -> float:
        """Return the share of the points that lateness leaves."""
        late = self.days_late(sheet)
        return 0.0 if late > sheet.days else max(0.0, 1 - sheet.per_day * late)


def path_of(sheet: Sheet, student: str) -> Path:
    """Return the file of a student's result."""
    return sheet.folder / "results" / f"{file_name(student)}.json"


def write_result(sheet: Sheet, result: Result) -> None:
    """Write a result, whole or not at all."""
    path = path_of(sheet, result.student)
    path.parent.mkdir(exist_ok=True)
    told = json.dumps({"version": VERSION, **asdict(result)}, ensure_ascii=False, indent=1)
    # What a student wrote may hold half of a character; it is written down as a question mark.
    text = told.encode("utf-8", "replace")
    try:
        replace_whole(path, lambda partial: partial.write_bytes(text + b"\n"))
    except OSError as error:
        raise Refused(
            f"{path} cannot be written: {error.strerror}; make room and run the same command again"
        ) from error


def read_result(path: Path) -> Result | None:
    """Return a result, or None where the file is not there, damaged, or of another version: it is graded again."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if told.pop("version") != VERSION:
            return None
        items = tuple(Marked(**item) for item in told.pop("items"))
        return Result(**{**told, "flags": tuple(told["flags"]), "items": items})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def read_results(sheet: Sheet) -> list[Result]:
    """Return every result of a sheet, by student.

    Raises:
        Refused: there is none, or a file is damaged.
    """
    paths = sorted((sheet.folder / "results").glob("*.json"))
    if not paths:
        raise Refused(f"{sheet.folder} has no results: `lorabook classroom grade {sheet.name} SUBMISSIONS` makes them")
    results = {path: read_result(path) for path in paths}
    broken = [path for path, result in results.items() if result is None]
    if broken:
        raise Refused(f"{broken[0]} is damaged, or of another version: grade again, which writes it anew")
    return sorted(results.values(), key=lambda result: result.student)
