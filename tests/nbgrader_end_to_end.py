"""A sheet in nbgrader from release to feedback: honest answers get the points that `lorabook classroom grade` gives.

    pip install -e ".[teach]" && python tests/nbgrader_end_to_end.py

It is a command of its own, outside the suite: nbgrader brings a server and a database of its own. It exits with 1 where
the two differ, where a line on stderr costs something, or where a page of feedback shows a solution.
"""

import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat

from lorabook.book.pack.grade import grade
from lorabook.book.pack.release import release, solution_lines, solution_of
from lorabook.book.pack.sheet import Sheet, new_sheet, read_sheet
from lorabook.book.pack.submissions import submissions

ITEMS = ("scale", "two_path", "nearest")
STUB = "# YOUR CODE HERE\n    raise NotImplementedError()"


def solved(cell: str, sheet: Sheet) -> str:
    """Return a stub's cell with the chapter's solution in its place."""
    for item in sheet.items:
        if f"def {item.exercise.function}(" in cell:
            return solution_of(item)
    return cell


ANSWERS = {
    "stubs": lambda cell, sheet: cell,
    "solutions": solved,
    "warning": lambda cell, sheet: solved(cell, sheet) + "\nimport sys\nprint('a warning', file=sys.stderr)"
    if "YOUR CODE" in cell else cell,
    "wrong": lambda cell, sheet: cell.replace(STUB, "return 0 * (B @ A)"),
    "partly": lambda cell, sheet: cell.replace(STUB, "return (alpha / r * (B @ A)).T")
    if "delta_w" in cell else solved(cell, sheet),
}  # fmt: skip


def nbgrader(course: Path, *arguments: str) -> str:
    """Run one of nbgrader's commands in the course's folder; return what it printed."""
    command = [sys.executable, "-m", "nbgrader", *arguments]
    # nbgrader calls another program of its environment by name.
    search = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = {**os.environ, "PATH": search, "JUPYTER_PREFER_ENV_PATH": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, cwd=course, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout[-2000:], done.stderr[-4000:])
        raise SystemExit(f"nbgrader {arguments[0]} failed")
    return done.stdout


def scores(course: Path) -> dict[str, float]:
    """Return the score of every student in nbgrader's gradebook."""
    nbgrader(course, "export", "--to", "grades.csv")
    with (course / "grades.csv").open(newline="") as file:
        return {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}


def main() -> int:
    """Go the whole way, and say what differs."""
    with tempfile.TemporaryDirectory() as folder:
        course = Path(folder)
        new_sheet(course / "hw1", ITEMS)
        sheet = read_sheet(course / "hw1")
        release(sheet)
        shutil.copytree(course / "hw1" / "nbgrader" / "source", course / "source")
        (course / "nbgrader_config.py").write_text(
            "c = get_config()\nc.CourseDirectory.course_id = 'lora'\nc.ExecutePreprocessor.timeout = 120\n"
        )
        nbgrader(course, "generate_assignment", "hw1", "--create", "--force")
        handed_out = nbformat.read(course / "release/hw1/hw1.ipynb", as_version=4)
        for student, change in ANSWERS.items():
            own = nbformat.from_dict(handed_out)
            for cell in own.cells:
                if cell.cell_type == "code":
                    cell.source = change(cell.source, sheet)
            path = course / "submitted" / student / "hw1" / "hw1.ipynb"
            path.parent.mkdir(parents=True)
            nbformat.write(own, path)
            (course / "in" / student).mkdir(parents=True)
            shutil.copy(path, course / "in" / student / "hw1.ipynb")
        nbgrader(course, "autograde", "hw1", "--create", "--force")
        nbgrader(course, "generate_feedback", "hw1", "--force")
        theirs = scores(course)
        ours = {result.student: result.points for result in grade(sheet, submissions("hw1", course / "in"), 2)}
        wrong = [f"{student}: {theirs[student]} there, {ours[student]} here" for student in ours
                 if abs(theirs[student] - ours[student]) > 1e-6]  # fmt: skip
        for student in ours:
            print(f"{student:10} {theirs[student]:5g} in nbgrader, {ours[student]:5g} here")
            page = re.sub(r"<[^>]+>", "", (course / "feedback" / student / "hw1" / "hw1.html").read_text())
            lines = [line for item in sheet.items for line in solution_lines(item)]
            if student in ("stubs", "wrong") and any(line in page for line in lines):
                wrong.append(f"the feedback of {student} shows a solution")
        if ours["solutions"] != 30 or ours["warning"] != 30:
            wrong.append("a right answer does not get all points")
        print(*wrong, sep="\n")
        return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
