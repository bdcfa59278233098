"""The teacher's pack: a class of a hundred, bad sheets and submissions, resumed gradings, nothing hidden handed out."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import nbformat
import pytest
import torch
from nbformat.v4 import new_code_cell, new_notebook

from lorabook.book.cli import main
from lorabook.book.pack import grade as grading
from lorabook.book.pack import notebook, release, results, selftest, submissions
from lorabook.book.pack.feedback import said, write_feedback
from lorabook.book.pack.grade import grade
from lorabook.book.pack.hostile import cells as hostile_cells
from lorabook.book.pack.hostile import hostile
from lorabook.book.pack.points import points
from lorabook.book.pack.scores import export
from lorabook.book.pack.sheet import Sheet, exercise_names, new_sheet, read_sheet
from lorabook.book.pack.submissions import Submission, file_name
from lorabook.book.refused import Refused

IMPORTS = "import torch\nimport math"
RIGHT = "def delta_w(A, B, alpha, r):\n    return alpha / r * (B @ A)"
NO_ALPHA = "def delta_w(A, B, alpha, r):\n    return 1 / r * (B @ A)"

FRAMES = (
    "import sys\ndef delta_w(A, B, alpha, r):\n    frame = sys._getframe()\n    while frame is not None:\n"
    "        if 'cases' in frame.f_locals:\n            raise ValueError(str(list(frame.f_locals['cases'])[-1]))\n"
    "        frame = frame.f_back\n    raise ValueError('nothing found')"
)
"""It looks for the hidden cases in the frames of the child, and tells one of them."""


@pytest.fixture
def sheet(tmp_path: Path) -> Sheet:
    """A sheet of one item, with limits that a test can wait for."""
    return made(tmp_path / "hw1", ("scale",))


def made(folder: Path, items: tuple[str, ...], wall: float = 1.0) -> Sheet:
    path = new_sheet(folder, items)
    text = path.read_text(encoding="utf-8").replace("cpu = 12 ", "cpu = 3 ").replace("wall = 10 ", f"wall = {wall} ")
    path.write_text(text, encoding="utf-8")
    return read_sheet(folder)


def handed_in(student: str, *code: str) -> Submission:
    cells = [new_code_cell(cell, id=f"cell-{n}") for n, cell in enumerate((IMPORTS, *code))]
    return Submission(student, nbformat.writes(new_notebook(cells=cells)).encode(), None)


def lay_out(where: Path, *every: Submission) -> Path:
    for one in every:
        (where / one.student).mkdir(parents=True)
        (where / one.student / "hw1.ipynb").write_bytes(one.content)
    return where


def solved(sheet: Sheet) -> list[str]:
    return [release.solution_of(item) for item in sheet.items]


# A class


ATTACKS = {
    "looping": "an endless loop that swallows everything",
    "crashing": "os._exit, with a status that means success",
    "forking": "a fork bomb",
    "allocating": "memory in a tensor",
    "printing": "prints without an end",
    "patched": "the judge, patched",
}
KINDS = ("good", "empty", "wrong", "copied", *ATTACKS)


def of_kind(kind: str, number: int, sheet: Sheet) -> Submission:
    student = f"{kind}-{number}"
    if kind in ATTACKS:
        text = hostile()[ATTACKS[kind]]
        code = [cell for item in sheet.items for cell in hostile_cells(text, item.name, item.exercise.function)]
        return handed_in(student, *code)
    if kind == "wrong":
        return handed_in(student, NO_ALPHA)
    if kind == "empty":
        return Submission(student, b"", None)
    return handed_in(student, *solved(sheet), *([f"# {student}"] if kind == "good" else []))


def test_a_class_of_a_hundred_is_graded_within_a_minute_of_computing(tmp_path: Path) -> None:
    sheet = made(tmp_path / "hw1", ("scale", "two_path", "nearest"), wall=1)
    everybody = [of_kind(kind, n, sheet) for kind in KINDS for n in range(10)]
    began = os.times()
    found = {result.student: result for result in grade(sheet, everybody, jobs=2)}
    ended = os.times()
    # What never ends is run on all inputs and on the public ones, and stopped each time: that is the limits' cost.
    endless = 2 * sheet.limits.wall * len(sheet.items) * 10 * sum(kind in ("looping", "printing") for kind in KINDS)
    used = sum(ended[:4]) - sum(began[:4])
    assert used < 60 + endless, f"{used:.0f} CPU-seconds, of which at most {endless:.0f} for what never ends"
    of = sum(item.points for item in sheet.items)
    for n in range(10):
        assert found[f"good-{n}"].points == found[f"copied-{n}"].points == of
        assert "the same file as 9 others" in found[f"copied-{n}"].flags
        assert found[f"good-{n}"].flags == ("the cells have lost their metadata",)
        assert found[f"wrong-{n}"].items[0].code == "no-alpha"
        assert "no notebook" not in found[f"empty-{n}"].flags
        assert all(found[f"{kind}-{n}"].points == 0 for kind in ("empty", "wrong", *ATTACKS))
    assert len(list((sheet.folder / "results").iterdir())) == 100


def test_the_sheet_is_tried_on_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    few = {name: hostile()[name] for name in (*ATTACKS.values(), "the teacher's files", "the answers, read as text")}
    monkeypatch.setattr("lorabook.book.pack.selftest.hostile", lambda: few)
    made(tmp_path / "hw1", ("scale", "merged"))
    assert main(["classroom", "selftest", str(tmp_path / "hw1")]) == 0
    printed = capsys.readouterr().out
    assert "ok   the solutions get all points" in printed
    assert f"ok   {len(few)} hostile answers get none" in printed
    assert "ok   nothing hidden is in the release or in the feedback" in printed


def test_the_self_test_notices_what_it_is_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        selftest,
        "hostile",
        lambda: {"a leak": FRAMES.replace("delta_w", "answer"), "a right answer": RIGHT.replace("delta_w", "answer")},
    )
    monkeypatch.setattr("lorabook.book.pack.feedback.said", lambda marked, exercise: marked.says)
    monkeypatch.setattr(selftest, "solution_of", lambda item: "### BEGIN SOLUTION\n" + NO_ALPHA)
    found = {one.what: one.holds for one in selftest.selftest(made(tmp_path / "hw1", ("scale",)))}
    assert found.pop("the stubs get none, and are said not to be attempted")
    assert [what for what, holds in found.items() if holds] == [what for what in found if what.startswith("no answer")]
    assert len(found) == 4


@pytest.mark.parametrize("name", exercise_names())
def test_the_solution_of_every_exercise_is_found_for_a_sheet(name: str, tmp_path: Path) -> None:
    sheet = made(tmp_path / "hw1", (name,))
    assert release.solution_lines(sheet.items[0])
    told = release.release(sheet).read_text(encoding="utf-8")
    assert f"def {sheet.items[0].exercise.function}(" in told
    assert sheet.key not in told


def test_a_solution_that_would_be_handed_out_is_refused(sheet: Sheet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "STUB", release.solution_lines(sheet.items[0])[0])
    with pytest.raises(Refused, match="a line of the solution of scale is in the notebook"):
        release.release(sheet)
    assert not (sheet.folder / "release").exists()


# What is graded


def result_of(sheet: Sheet, *code: str) -> results.Result:
    (result,) = grade(sheet, [handed_in("anna", *code)])
    return result


def test_points_follow_the_code_and_the_sheet_can_give_credit(sheet: Sheet) -> None:
    assert result_of(sheet, RIGHT).points == 10
    assert result_of(sheet, NO_ALPHA).points == 0
    path = sheet.folder / "hw1.toml"
    path.write_text(path.read_text(encoding="utf-8") + 'credit = { "no-alpha" = 0.3 }\n', encoding="utf-8")
    assert result_of(read_sheet(sheet.folder), NO_ALPHA).points == 3, "another sheet, so it is graded again"


@pytest.mark.parametrize(
    ("code", "due"),
    [
        (("helper = lambda s, m: s * m", "def delta_w(A, B, alpha, r):\n    return helper(alpha / r, B @ A)"), 10),
        ((RIGHT, NO_ALPHA), 0),  # the last one counts, as it does in a notebook
        ((NO_ALPHA, RIGHT), 10),
        ((RIGHT.replace("delta_w", "my_delta"),), 0),
        ((RIGHT.replace("delta_w", "my_delta"), "delta_w = my_delta"), 10),
        (("%matplotlib inline\n" + RIGHT,), 10),
        ((RIGHT, "this is no Python"), 10),
        ((RIGHT, "import sys\nprint('warning', file=sys.stderr)\n1 / 0"), 10),
        (("def delta_w(", "A, B, alpha, r):\n    return alpha / r * (B @ A)"), 0),
    ],
)
def test_cells_that_are_split_doubled_renamed_or_broken(sheet: Sheet, code: tuple[str, ...], due: float) -> None:
    assert result_of(sheet, *code).points == due


def test_a_table_of_the_public_cases_does_not_pass_the_hidden_ones(sheet: Sheet) -> None:
    item = sheet.items[0]
    public = item.exercise.cases(sheet.public_seed(item))
    known = {json.dumps([case.given["alpha"], case.given["r"]]): item.exercise.answer(case) for case in public}
    table = f"import json\nKNOWN = {known!r}\ndef delta_w(A, B, alpha, r):\n    "
    table += "return torch.tensor(KNOWN.get(json.dumps([alpha, r]), [[0.0]]))"
    (result,) = grade(sheet, [handed_in("anna", table)])
    assert result.items[0].public_code == "right"
    assert result.points == 0
    assert "Right on the public inputs, and wrong on others" in said(result.items[0], item.exercise)


def test_every_student_has_hidden_cases_of_her_own(sheet: Sheet) -> None:
    (item,) = sheet.items
    seeds = {sheet.hidden_seed(sheet.key, student, item, draw) for student in ("anna", "ben") for draw in range(2)}
    assert len(seeds | {sheet.public_seed(item)}) == 5
    assert sheet.hidden_seed("0" * 64, "anna", item, 0) not in seeds


def test_what_an_answer_makes_of_hidden_inputs_does_not_come_back(sheet: Sheet) -> None:
    tells = "def delta_w(A, B, alpha, r):\n    raise ValueError('seen: ' + str(A.tolist()))"
    grade(sheet, [handed_in("anna", tells), handed_in("ben", FRAMES)])
    item = sheet.items[0]
    for student, path in zip(("anna", "ben"), write_feedback(sheet), strict=True):
        text = path.read_text(encoding="utf-8")
        assert "ValueError" in text
        for draw in range(item.hidden):
            for case in item.exercise.cases(sheet.hidden_seed(sheet.key, student, item, draw)):
                assert str(case.given["A"].values) not in text
                assert str(torch.tensor(case.given["A"].values).tolist()) not in text


def test_feedback_names_the_mistake_and_shows_the_own_lines(sheet: Sheet) -> None:
    grade(sheet, [handed_in("anna", NO_ALPHA + "  # <script>alert(1)</script>")])
    (path,) = write_feedback(sheet)
    text = path.read_text(encoding="utf-8")
    (mistake,) = [one for one in sheet.items[0].exercise.mistakes if one.code == "no-alpha"]
    assert mistake.says.split(".")[0] in text
    assert "0 of 10 points" in text
    assert "return 1 / r * (B @ A)" in text
    assert "<script>" not in text


# Again, killed, by hand, late


def test_grading_again_changes_nothing_and_runs_nobody_twice(sheet: Sheet, monkeypatch: pytest.MonkeyPatch) -> None:
    everybody = [handed_in("anna", RIGHT), handed_in("ben", NO_ALPHA)]
    first = grade(sheet, everybody)
    content = {path: path.read_bytes() for path in (sheet.folder / "results").iterdir()}
    ran: list[str] = []
    real = grading.graded
    monkeypatch.setattr(grading, "graded", lambda *given: (ran.append(given[2].student), real(*given))[1])
    assert grade(sheet, everybody) == first
    assert ran == []
    assert grade(sheet, [everybody[0], handed_in("ben", RIGHT)])[1].points == 10
    assert ran == ["ben"]
    assert content[results.path_of(sheet, "anna")] == results.path_of(sheet, "anna").read_bytes()


def test_a_damaged_result_is_graded_again(sheet: Sheet) -> None:
    grade(sheet, [handed_in("anna", RIGHT)])
    results.path_of(sheet, "anna").write_text('{"version": 1, "stud', encoding="utf-8")
    with pytest.raises(Refused, match="damaged"):
        export(sheet)
    assert grade(sheet, [handed_in("anna", RIGHT)])[0].points == 10
    export(sheet)


def test_a_grader_that_is_killed_goes_on_where_it_was(sheet: Sheet, tmp_path: Path) -> None:
    everybody = [handed_in(f"student-{n}", RIGHT, f"# {n}") for n in range(12)]
    where = lay_out(tmp_path / "in", *everybody)
    command = [sys.executable, "-m", "lorabook", "classroom", "grade", str(sheet.folder), str(where), "--jobs", "1"]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    folder = sheet.folder / "results"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and len(list(folder.glob("*.json"))) < 3:
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.json")}
    assert 3 <= len(before) < 12, "killed in the middle"
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "12 students" in done.stdout
    assert "12 with all of them" in done.stdout
    assert all((folder / name).stat().st_mtime_ns == when for name, when in before.items()), "nobody was graded twice"
    assert not list(folder.glob("*.partial"))


def test_a_full_disk_is_one_clear_line(sheet: Sheet, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, write: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(results, "replace_whole", full)
    with pytest.raises(Refused, match="No space left on device; make room and run the same command again"):
        grade(sheet, [handed_in("anna", RIGHT)])


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_what_is_decided_by_hand_counts_and_stays(sheet: Sheet) -> None:
    grade(sheet, [handed_in("anna", NO_ALPHA), handed_in("ben", RIGHT)])
    with (sheet.folder / "overrides.csv").open("a", encoding="utf-8") as file:
        file.write('anna,scale,7,"her appeal, heard"\n')
    long, wide = export(sheet)
    assert [(row["student"], row["points"], row["by_hand"]) for row in table(long)] == [
        ("anna", "7", "her appeal, heard"), ("ben", "10", "")]  # fmt: skip
    assert [(row["student"], row["scale"], row["points"], row["of"]) for row in table(wide)] == [
        ("anna", "7", "7", "10"), ("ben", "10", "10", "10")]  # fmt: skip
    assert "her appeal, heard" in write_feedback(sheet)[0].read_text(encoding="utf-8")
    grade(sheet, [handed_in("anna", NO_ALPHA + "\n# again"), handed_in("ben", RIGHT)])
    assert table(export(sheet)[0])[0]["points"] == "7", "grading again leaves it"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("clara,scale,3,no", "line 2: 'clara' has no item 'scale'"),
        ("anna,nearest,3,no", "line 2: 'anna' has no item 'nearest'"),
        ("anna,scale,-1,no", "points is '-1'; a number from 0 to 10"),
        ("anna,scale,many,no", "points is 'many'"),
        ("anna,scale,nan,no", "points is 'nan'"),
    ],
)
def test_an_override_that_makes_no_sense_is_refused(sheet: Sheet, line: str, message: str) -> None:
    grade(sheet, [handed_in("anna", RIGHT)])
    with (sheet.folder / "overrides.csv").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(Refused, match=message):
        export(sheet)


def test_lateness_costs_what_the_sheet_says(sheet: Sheet) -> None:
    path = sheet.folder / "hw1.toml"
    text = path.read_text(encoding="utf-8").replace("# due = 2027-01-31T23:59:00+01:00 ", "due = 2027-01-31T12:00:00Z ")
    path.write_text(text, encoding="utf-8")
    sheet = read_sheet(sheet.folder)
    hours = {"in-time": 11, "a-day": 13, "two-days": 24 + 13, "too-late": 3 * 24 + 13}
    everybody = [
        Submission(student, handed_in(student, RIGHT).content, datetime.fromtimestamp(
            datetime(2027, 1, 31, tzinfo=UTC).timestamp() + 3600 * hour, tz=UTC)) for student, hour in hours.items()
    ]  # fmt: skip
    unknown = [handed_in("unknown", RIGHT)]
    grade(sheet, everybody + unknown)
    points = {row["student"]: float(row["points"]) for row in table(export(sheet)[1])}
    assert points == {"in-time": 10, "a-day": 9, "two-days": 8, "too-late": 0, "unknown": 10}


# What comes in


@pytest.mark.parametrize(
    ("content", "flag"),
    [
        (b"", "the file is empty"),
        (b"not json", "no notebook: JSONDecodeError"),
        (b"\xff\xfe\x00", "no notebook: UnicodeDecodeError"),
        (b"[" * 100_000, "no notebook: RecursionError"),
        (b"[1, 2]", "no notebook: AttributeError"),
        (b'{"cells": 3}', "no notebook: TypeError"),
        (b'{"cells": []}', "no code cell"),
        (b'{"cells": [{"cell_type": "code", "source": 7}], "metadata": {"kernelspec": {"language": "R"}}}',
         "its kernel speaks R"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_good_notebook_is_flagged_and_raises_nothing(content: bytes, flag: str) -> None:
    assert flag in notebook.code_of(content).flags


def test_an_old_notebook_and_one_with_a_mark_at_its_start_are_read() -> None:
    old = {"worksheets": [{"cells": [{"cell_type": "code", "input": ["a = 1\n", "b = 2"]}]}]}
    assert notebook.code_of(json.dumps(old).encode("utf-8-sig")).cells == ("a = 1\nb = 2",)


def test_names_of_students_become_names_of_files() -> None:
    names = [
        "anna",
        "Anna",
        "../../etc/passwd",
        "Zoë Müller",
        "李 明",
        "a/b",
        "a b",
        "a_b",
        ".hidden",
        "x" * 300,
        "con ",
        "",
    ]
    files = [file_name(name) for name in names]
    assert len(set(files)) == len(names)
    assert files[0] == "anna"
    assert not any("/" in file or file.startswith(".") or len(file) > 60 for file in files)


def test_submissions_of_a_folder(tmp_path: Path) -> None:
    where = lay_out(tmp_path / "in", handed_in("anna", RIGHT))
    for student in ("ben", "clara", "dora", "emil"):
        (where / student).mkdir()
    (where / "ben" / "my homework.ipynb").write_bytes(b"{}")
    (where / "clara" / "hw1.ipynb").symlink_to(tmp_path / "in/anna/hw1.ipynb")
    with (where / "dora" / "hw1.ipynb").open("wb") as file:
        file.truncate(50 * 2**20)
    (where / "anna" / "timestamp.txt").write_text("2027-01-31 12:00:00.000000 UTC\n")
    (where / "frida.ipynb").write_bytes(handed_in("frida", RIGHT).content)
    (where / ".DS_Store").touch()
    found = {one.student: one for one in submissions.submissions("hw1", where)}
    assert list(found) == ["anna", "ben", "clara", "dora", "emil", "frida"]
    assert found["anna"].handed_in == datetime(2027, 1, 31, 12, tzinfo=UTC)
    assert found["anna"].flags == ()
    assert found["ben"].flags == ("the notebook is called my homework.ipynb",)
    assert found["clara"].content == b""
    assert found["clara"].flags == ("a link to another file: not followed",)
    assert (found["dora"].content, found["dora"].flags) == (b"", ("50 MB: not read",))
    assert found["emil"].flags == ("no notebook",)
    assert found["frida"].flags == ("not in a folder of its own",)


def test_submissions_of_a_zip(tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Anna Bell_123_assignsubmission_file_/hw1.ipynb", handed_in("", RIGHT).content)
        archive.writestr("Zoë_77_assignsubmission_file/hw1.ipynb", b"{}")
        archive.writestr("../../outside/hw1.ipynb", b"{}")
        archive.writestr("readme.txt", b"")
    found = {one.student: one for one in submissions.submissions("hw1", path)}
    assert {"Anna Bell 123", "Zoë 77"} <= set(found)
    assert len(found) == 3
    assert all("/" not in file_name(student) for student in found)


@pytest.mark.parametrize("name", ["nothing", "a.zip", "empty"])
def test_what_holds_no_submissions_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 damaged")
    with pytest.raises(Refused):
        submissions.submissions("hw1", tmp_path / name)


# The sheet


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("points = 10", "points = -3", "item 1: points is -3; it must be a number from 0"),
        ("points = 10", "points = 0", "item 1: points is 0"),
        ("points = 10", 'points = "ten"', "points is 'ten'"),
        ("points = 10", "points = true", "points is True"),
        ("points = 10", "points = nan", "points is nan"),
        ("points = 10", "", "it needs an exercise and its points"),
        ('exercise = "scale"', 'exercise = "scales"', "there is no exercise 'scales'; there are admitted"),
        ('exercise = "scale"', "exercise = 3", "there is no exercise 3"),
        ("hidden = 2", "hidden = 0", "hidden is 0; it must be a whole number from 1"),
        ("hidden = 2", "hidden = 1.5", "hidden is 1.5"),
        ("hidden = 2", "credit = { dtype = 2 }", "credit of dtype is 2"),
        ("hidden = 2", "seeds = 2", "'seeds' is not known here"),
        ("cpu = 3", "cpu = 0", "cpu is 0"),
        ("cpu = 3", "gpu = 1", "'gpu' is not known here; there are cpu, memory, output, wall"),
        ("per_day = 0.1", "per_day = 1.5", "per_day is 1.5"),
        ("days = 3", "days = -1", "days is -1"),
        ("hints = true", 'hints = "yes"', "hints is 'yes'; true or false"),
        ("hints = true", "due = 2027-01-31", "due is 2027-01-31; write a date, a time and a zone"),
        ("hints = true", "due = 2027-01-31T10:00:00", "write a date, a time and a zone"),
        ("[[item]]", "[[items]]", "'items' is not known here"),
        ("[late]", "[late", "is no TOML"),
    ],
)
def test_a_sheet_that_makes_no_sense_is_refused_by_name(sheet: Sheet, old: str, new: str, message: str) -> None:
    path = sheet.folder / "hw1.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(Refused, match=message):
        read_sheet(sheet.folder)


def test_a_sheet_without_items_or_with_one_twice_is_refused(sheet: Sheet) -> None:
    path = sheet.folder / "hw1.toml"
    head, item = path.read_text(encoding="utf-8").split("[[item]]")
    path.write_text(head, encoding="utf-8")
    with pytest.raises(Refused, match="a sheet without items cannot be graded"):
        read_sheet(sheet.folder)
    path.write_text(f"{head}[[item]]{item}\n[[item]]{item}", encoding="utf-8")
    with pytest.raises(Refused, match="scale is in two items"):
        read_sheet(sheet.folder)


def test_a_sheet_is_not_made_twice_and_its_key_must_be_there(sheet: Sheet, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classroom", "new", str(sheet.folder)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert (sheet.folder / "hw1.key").stat().st_mode & 0o077 == 0, "others cannot read the key"
    (sheet.folder / "hw1.key").unlink()
    with pytest.raises(Refused, match="holds no key: put the one of this sheet back"):
        grade(sheet, [handed_in("anna", RIGHT)])


@pytest.mark.parametrize("name", ["a b", "hw/../..", "ü!"])
def test_a_name_that_does_for_no_file_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="cannot be called"):
        new_sheet(tmp_path / name)


def test_a_system_without_fork_is_told_before_anything_starts(sheet: Sheet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "fork")
    with pytest.raises(Refused, match="grading needs Linux, macOS or WSL"):
        grade(sheet, [handed_in("anna", RIGHT)])
    assert not (sheet.folder / "results").exists()


def test_the_whole_way_by_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["classroom", "new", "hw1", "--exercise", "scale"]) == 0
    assert main(["classroom", "release", "hw1"]) == 0
    handed_out = nbformat.read(tmp_path / "hw1/release/hw1/hw1.ipynb", as_version=4)
    for cell in handed_out.cells:
        cell.source = cell.source.replace(
            "# YOUR CODE HERE\n    raise NotImplementedError()", "return alpha / r * (B @ A)"
        )
    (tmp_path / "in/anna").mkdir(parents=True)
    nbformat.write(handed_out, tmp_path / "in/anna/hw1.ipynb")
    for step in (["grade", "hw1", "in"], ["feedback", "hw1"], ["export", "hw1"]):
        assert main(["classroom", *step]) == 0
    assert "1 students" in capsys.readouterr().out
    (row,) = table(tmp_path / "hw1/students.csv")
    assert (row["student"], row["points"], row["flags"]) == ("anna", "10", "")
    assert main(["classroom", "grade", "hw1", "in", "--only", "bob"]) == 2
    assert main(["classroom", "grade", "hw1", "in", "--jobs", "0"]) == 2


def test_cells_of_a_spreadsheet_are_no_formulas(sheet: Sheet) -> None:
    grade(sheet, [handed_in('=HYPERLINK("x")', RIGHT)])
    assert table(export(sheet)[1])[0]["student"] == '\'=HYPERLINK("x")'


def test_points_in_a_notebook_are_a_number_whatever_comes(sheet: Sheet) -> None:
    exercise = sheet.items[0].exercise
    assert points(exercise, lambda A, B, alpha, r: alpha / r * (B @ A), of=10) == 10
    assert points(exercise, lambda A, B, alpha, r: 1 / 0, of=10) == 0
    assert points(exercise, None, of=10) == 0
