"""What each step of `lorabook classroom` does, from its arguments to what it prints."""

from argparse import Namespace

from lorabook.book.pack import grade as grading
from lorabook.book.pack import scores
from lorabook.book.pack.feedback import write_feedback
from lorabook.book.pack.release import release as write_release
from lorabook.book.pack.selftest import selftest as try_sheet
from lorabook.book.pack.sheet import DEFAULT, new_sheet, read_sheet
from lorabook.book.pack.submissions import submissions
from lorabook.book.refused import Refused


def new(options: Namespace) -> int:
    path = new_sheet(options.sheet, tuple(options.exercise or DEFAULT))
    print(f"{path}\nEdit it, then `lorabook classroom selftest {options.sheet}` and `… release {options.sheet}`.")
    print(f"{path.with_suffix('.key')} draws the hidden cases: keep it, and give it to nobody.")
    return 0


def release(options: Namespace) -> int:
    print(write_release(read_sheet(options.sheet)))
    return 0


def grade(options: Namespace) -> int:
    sheet = read_sheet(options.sheet)
    grading.refuse_system()
    _refuse_jobs(options.jobs)
    handed_in = grading.only(submissions(sheet.name, options.submissions), options.only)
    print(grading.summary(grading.grade(sheet, handed_in, options.jobs), sheet.folder / "results"))
    return 0


def feedback(options: Namespace) -> int:
    paths = write_feedback(read_sheet(options.sheet))
    print(f"{len(paths)} pages in {paths[0].parent}")
    return 0


def export(options: Namespace) -> int:
    print(*scores.export(read_sheet(options.sheet)), sep="\n")
    return 0


def selftest(options: Namespace) -> int:
    _refuse_jobs(options.jobs)
    findings = try_sheet(read_sheet(options.sheet), options.jobs)
    for one in findings:
        print(f"{'ok  ' if one.holds else 'FAIL'} {one.what}" + (f": {one.detail}" if one.detail else ""))
    return int(not all(one.holds for one in findings))


def _refuse_jobs(jobs: int) -> None:
    if not 1 <= jobs <= 64:
        raise Refused(f"--jobs is {jobs}; it must be 1 to 64")
