"""A part of an assignment, tried in the notebook: it helps, as a chapter's check does, and gives nobody points."""

import secrets
from pathlib import Path

from lorabook.book.assignments.assignment import Part
from lorabook.book.assignments.file_part import FilePart
from lorabook.book.classroom.check import SECONDS, Verdict
from lorabook.book.classroom.judge import NOT_ATTEMPTED, RIGHT, Judgement
from lorabook.book.classroom.keep import exit_raises, prints_bounded, settings_kept
from lorabook.book.classroom.limits import limit
from lorabook.book.classroom.observe import observed
from lorabook.book.classroom.warm import warm


def try_out(part: Part, *answers: object) -> Verdict:
    """Return the verdict on what a student defined for a part, on trials that are drawn for this call.

    Raises:
        KeyboardInterrupt: the reader interrupts.
    """
    judgement = judgement_here(part, answers, secrets.randbits(32))
    mark = {RIGHT: "✓", NOT_ATTEMPTED: "○"}.get(judgement.code, "✗")
    return Verdict(mark, part.title, judgement.says, judgement.code, judgement.points)


def try_files(part: FilePart, folder: str = ".") -> Verdict:
    """Return the verdict on the files of a folder."""
    where = Path(folder)
    paths = [path for path in where.rglob("*") if path.suffix in (".md", ".json", ".csv") and path.is_file()]
    files = {path.relative_to(where).as_posix(): path.read_bytes() for path in paths}
    judgement = part.judged(files, secrets.randbits(32))
    mark = {RIGHT: "✓", NOT_ATTEMPTED: "○"}.get(judgement.code, "✗")
    return Verdict(mark, part.title, judgement.says, judgement.code, judgement.points)


def part_points(part: Part, *answers: object, of: float) -> float:
    """Return the points of a part, as nbgrader reads them; in the student's own process, so for honest answers only.

    Raises:
        KeyboardInterrupt: the reader interrupts.
    """
    return round(of * judgement_here(part, answers, secrets.randbits(32)).points, 4)


def judgement_here(part: Part, answers: tuple[object, ...], seed: int) -> Judgement:
    """Return the judgement on answers that are run in this process, on the trials of a seed."""
    trials = part.cases(seed)
    warm()
    with settings_kept(), exit_raises(), prints_bounded(), limit(SECONDS) as watch:
        seen = observed(part.observe, lambda: answers, [trial.given for trial in trials])
    if watch.interrupted:
        raise KeyboardInterrupt
    return part.judged(trials, seen)
