"""Grade what came back: each item in a child process of its own, a result file a student, nobody graded twice."""

import hashlib
import os
import platform
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from threading import local

from tqdm import tqdm

from lorabook.book.classroom.grader import Grader, confinement
from lorabook.book.classroom.judge import RIGHT, Judgement
from lorabook.book.classroom.taken import taken
from lorabook.book.pack.notebook import Code, code_of
from lorabook.book.pack.parts import marked_parts
from lorabook.book.pack.results import Marked, Result, path_of, read_result, write_result
from lorabook.book.pack.sheet import Item, Sheet
from lorabook.book.pack.submissions import Submission
from lorabook.book.refused import Refused

LONGEST_SOURCE = 20_000
"""Characters of a student's code that a result keeps."""


def refuse_system() -> None:
    """Say before anything starts that this system cannot grade.

    Raises:
        Refused: it has no fork.
    """
    if not hasattr(os, "fork"):
        raise Refused(
            f"grading needs Linux, macOS or WSL, and this is {sys.platform}: it runs every answer in a forked process. "
            "`new`, `release` and `export` work here"
        )


def grade(sheet: Sheet, handed_in: Sequence[Submission], jobs: int = 1) -> list[Result]:
    """Return the result of every student, and write each down as it is ready; those that are still true are kept.

    A result is still true if the submission, the sheet, its key and the versions are those of before. A grading that
    was killed goes on where it was.

    Raises:
        Refused: the system has no fork, or a result cannot be written.
    """
    refuse_system()
    for what, can in confinement().items():
        if not can:
            print(f"note: on this system a submission is not kept from this: {what}", file=sys.stderr)
    key, copies = sheet.key, _copies(handed_in)
    todo, results = [], []
    for one in handed_in:
        old = read_result(path_of(sheet, one.student))
        if old is not None and old.made_of == _made_of(sheet, key, one) and old.student == one.student:
            results.append(old)
        else:
            todo.append(one)
    graders = _Graders(sheet)
    try:
        with ThreadPoolExecutor(jobs) as pool, tqdm(total=len(todo), unit=" students", disable=None) as bar:
            running = [pool.submit(graded, sheet, key, one, graders.mine, copies) for one in todo]
            try:
                for done in as_completed(running):
                    results.append(done.result())
                    write_result(sheet, results[-1])
                    bar.update()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    finally:
        graders.stop()
    return sorted(results, key=lambda result: result.student)


def graded(
    sheet: Sheet, key: str, one: Submission, grader: Callable[[], Grader], copies: Counter[str] | None = None
) -> Result:
    """Return the result of one submission."""
    code = replace(code_of(one.content) if one.content else Code((), ()), files=one.files)
    same = (copies or Counter())[one.sha256]
    flags = (*one.flags, *code.flags, *([f"the same file as {same - 1} others"] if same > 1 else []))
    items = tuple(_marked(sheet, key, one.student, item, code, grader()) for item in sheet.items)
    missing = [item.exercise for item in items if item.code == "not-defined"]
    flags = (*flags, *(f"{name} is not defined" for name in missing if code.cells))
    when = one.handed_in.isoformat() if one.handed_in else None
    return Result(one.student, sheet.name, _made_of(sheet, key, one), when, flags, items)


def _marked(sheet: Sheet, key: str, student: str, item: Item, code: Code, grader: Grader) -> Marked:
    if item.assignment:
        return marked_parts(sheet, key, student, item, code, grader)
    exercise = item.exercise
    public = exercise.cases(sheet.public_seed(item))
    hidden = [
        case for draw in range(item.hidden) for case in exercise.cases(sheet.hidden_seed(key, student, item, draw))
    ]
    source = taken(code.cells, exercise.function)
    if source is None:
        text = f"`{exercise.function}` is not defined in a cell that Python can read."
        on_all = on_public = Judgement("not-defined", text, 0.0)
    else:
        on_all = grader.judged(exercise, source, [*public, *hidden])
        # In a child of their own: what a student is told of the public cases cannot come from a hidden one.
        on_public = on_all if on_all.code == RIGHT else grader.judged(exercise, source, public)
    share = item.credit.get(on_all.code, on_all.points)
    return Marked(
        item.name, round(share * item.points, 4), item.points, on_all.code, on_all.says, on_public.code,
        on_public.says, (source or "")[:LONGEST_SOURCE],
    )  # fmt: skip


def _made_of(sheet: Sheet, key: str, one: Submission) -> dict[str, str]:
    """Return what a result depends on: other hashes or versions make another result."""
    return {
        "submission": one.sha256,
        "sheet": sheet.digest,
        "key": hashlib.sha256(key.encode()).hexdigest()[:16],
        "lorabook": metadata.version("lorabook"),
        "torch": metadata.version("torch"),
        "python": platform.python_version(),
    }


def _copies(handed_in: Sequence[Submission]) -> Counter[str]:
    return Counter(one.sha256 for one in handed_in if one.content)


def only(handed_in: Sequence[Submission], student: str | None) -> list[Submission]:
    """Return the submission of one student, or all where none is named.

    Raises:
        Refused: there is no such student.
    """
    chosen = [one for one in handed_in if student in (None, one.student)]
    if not chosen:
        names = ", ".join(one.student for one in handed_in[:20])
        raise Refused(f"nobody called {student!r} handed in anything; there are {names}")
    return chosen


class _Graders:
    """One grader for each thread, made when the thread first asks; all of them are stopped together."""

    def __init__(self, sheet: Sheet) -> None:
        self._sheet, self._mine, self._all = sheet, local(), []

    def mine(self) -> Grader:
        if not hasattr(self._mine, "grader"):
            self._mine.grader = Grader(replace(self._sheet.limits))
            self._all.append(self._mine.grader)
        return self._mine.grader

    def stop(self) -> None:
        for grader in self._all:
            grader.__exit__()


def summary(results: Sequence[Result], where: Path) -> str:
    """Return what a teacher reads when grading has ended."""
    of = sum(item.of for item in results[0].items) if results else 0
    points = sorted(result.points for result in results)
    flagged = [result.student for result in results if result.flags]
    lines = [
        f"{len(results)} students, results in {where}",
        f"median {points[len(points) // 2]:g} of {of:g} points, {sum(p == of for p in points)} with all of them, "
        f"{sum(p == 0 for p in points)} with none",
    ]
    if flagged:
        shown = ", ".join(flagged[:8])
        lines.append(f"{len(flagged)} came in a shape that a person should look at: {shown}")
    return "\n".join(lines)
