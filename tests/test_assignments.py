"""The assignments: a reference gets every point, a stub none, wrong versions their diagnosis, hostile ones nothing."""

import zipfile
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import assignment_answers
import nbformat
import pytest
from assignment_answers import REFERENCES, Wrong
from nbformat.v4 import new_code_cell, new_notebook

from lorabook.book import assignments
from lorabook.book.assignments.assignment import Assignment, Part
from lorabook.book.assignments.trying import judgement_here, part_points, try_out
from lorabook.book.classroom.grader import Grader
from lorabook.book.classroom.judge import RIGHT, Judgement
from lorabook.book.classroom.request import Limits
from lorabook.book.cli import main
from lorabook.book.pack import parts, release, selftest, submissions
from lorabook.book.pack.feedback import write_feedback
from lorabook.book.pack.grade import grade
from lorabook.book.pack.hostile import cells as hostile_cells
from lorabook.book.pack.hostile import hostile
from lorabook.book.pack.parts import tried
from lorabook.book.pack.sheet import Sheet, new_sheet, read_sheet
from lorabook.book.pack.submissions import Submission
from lorabook.book.refused import Refused

ASSIGNMENTS = {name: import_module(f"{assignments.__name__}.{name}").ASSIGNMENT for name in assignments.NAMES}
BANKS = {name: getattr(assignment_answers, name.upper()) for name in assignments.NAMES}
WRONG = [(name, wrong) for name, bank in BANKS.items() for wrong in bank if isinstance(wrong, Wrong)]
EVERY = [(name, part) for name, assignment in ASSIGNMENTS.items() for part in assignment.parts]
PARTS = [(name, part) for name, part in EVERY if isinstance(part, Part)]
REPORT = {part.name: part for part in ASSIGNMENTS["the_report"].parts}


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader(Limits(cpu=30, wall=20.0)) as one:
        yield one


def reference(name: str) -> str:
    return (REFERENCES / f"{name}.py").read_text(encoding="utf-8")


def judged(part: Part, code: str, grader: Grader, seed: int = 1) -> Judgement:
    source = part.source([code])
    assert source is not None, f"{part.name} is not defined"
    assert not part.rules.broken_by(source), part.rules.broken_by(source)
    return tried(part, source, part.cases(seed), grader)


def of(name: str) -> Assignment:
    return ASSIGNMENTS[name]


@pytest.mark.parametrize(("name", "part"), PARTS, ids=[part.name for _, part in PARTS])
def test_the_reference_of_every_part_is_right(name: str, part: Part, grader: Grader) -> None:
    for seed in (2, 3):
        assert judged(part, reference(name), grader, seed).code == RIGHT


@pytest.mark.parametrize(("name", "part"), PARTS, ids=[part.name for _, part in PARTS])
def test_a_stub_is_not_attempted_and_gets_nothing(name: str, part: Part, grader: Grader) -> None:
    stubs = "\n".join(one.stub for one in of(name).parts)
    judgement = judged(part, f"{of(name).setup}\n{stubs}", grader)
    assert (judgement.code, judgement.points) == ("not-attempted", 0)


@pytest.mark.parametrize(("name", "wrong"), WRONG, ids=[f"{wrong.part}: {wrong.code}" for _, wrong in WRONG])
def test_a_wrong_version_gets_the_diagnosis_due(name: str, wrong: Wrong, grader: Grader) -> None:
    (part,) = [one for one in of(name).parts if one.name == wrong.part]
    judgement = judged(part, wrong.source(name), grader)
    assert judgement.code == wrong.code, judgement
    assert judgement.points < 1


def test_every_part_has_wrong_versions_and_every_assignment_at_least_four() -> None:
    for name, assignment in ASSIGNMENTS.items():
        own = [wrong.part for wrong in BANKS[name]]
        assert len(own) >= 4
        assert set(own) == {part.name for part in assignment.parts}


@pytest.mark.parametrize(("name", "part"), PARTS, ids=[part.name for _, part in PARTS])
def test_a_part_has_the_same_trials_for_a_seed_and_others_for_another(name: str, part: Part) -> None:
    assert part.cases(1) == part.cases(1) != part.cases(2)
    assert len(part.cases(1)) == len(part.cases(2))


# What is handed in as files


@pytest.fixture(scope="module")
def right_files() -> dict[str, bytes]:
    folder = REFERENCES / "the_report"
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}


@pytest.mark.parametrize("name", list(REPORT))
def test_the_reference_report_is_right_and_no_files_are_not_attempted(name: str, right_files) -> None:
    assert REPORT[name].judged(right_files, 1).code == RIGHT
    assert (REPORT[name].judged({}, 1).code, REPORT[name].judged({}, 1).points) == ("not-attempted", 0)


@pytest.mark.parametrize("wrong", BANKS["the_report"], ids=lambda wrong: f"{wrong.part}: {wrong.code}")
def test_wrong_files_get_the_diagnosis_due(wrong, right_files: dict[str, bytes]) -> None:
    judgement = REPORT[wrong.part].judged(wrong.files(right_files), 5)
    assert (judgement.code, judgement.points) == (wrong.code, 0)


def test_a_report_without_results_for_its_numbers_takes_no_longer_than_one_with(right_files) -> None:
    long = b"# Question\n# Setting\n# Results\n# Limits\n" + b"1.1" * 300_000 + b" " + b"word " * 200
    assert REPORT["numbers"].judged({**right_files, "report.md": long}, 1).code == "no-numbers"


def test_files_come_in_with_a_folder_or_a_zip_and_links_do_not(tmp_path: Path, right_files) -> None:
    anna, secret = tmp_path / "in/anna", tmp_path / "secret.md"
    (anna / "curves").mkdir(parents=True)
    secret.write_text("the teacher's")
    (anna / "hw1.ipynb").write_bytes(b"{}")
    for name, content in right_files.items():
        (anna / name).write_bytes(content)
    (anna / "link.md").symlink_to(secret)
    (anna / "large.csv").write_bytes(b"0" * (2**20 + 1))
    (one,) = submissions.submissions("hw1", tmp_path / "in")
    assert one.files == right_files
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for path in anna.rglob("*"):
            if path.is_file() and path.name != "link.md":
                archive.write(path, f"anna/{path.relative_to(anna)}")
    (zipped,) = submissions.submissions("hw1", tmp_path / "in.zip")
    assert zipped.files == right_files
    assert zipped.sha256 == one.sha256 != replace(one, files={}).sha256


# What may not be used


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("import sys", "sys"),
        ("import os.path", "os.path"),
        ("from lorabook.claims.lora import form", "lorabook.claims.lora"),
        ("from lorabook.book.assignments import five_laws", "lorabook.book.assignments"),
        ("from torch import os", "os"),
        ("x = torch.sys", "sys"),
        ("x = LowRank.weight.__code__", "__code__"),
        ("x = torch._C", "_C"),
        ("x = getattr(LowRank, 'weight')", "getattr"),
        ("x = '{0.__code__}'.format(LowRank.weight)", "__ in a text"),
        ("x = __builtins__", "__builtins__"),
        ("x = torch.jit.script", "jit"),
        ("from . import secrets", "a relative import"),
        ("from torch import *", "*"),
    ],
)
def test_code_that_would_look_at_the_library_s_own_code_is_refused(line: str, named: str) -> None:
    rules = of("five_claims").parts[0].rules
    assert f"uses {named}, which" in rules.broken_by(line)


def test_a_form_cannot_be_taken_from_the_book() -> None:
    rules = of("two_forms").parts[0].rules
    for line in ("from lorabook.axes.form.loha import Hadamard", "import lorabook as lb", "x = book.Hadamard"):
        assert "does not allow" in rules.broken_by(line)


def test_what_a_student_needs_is_allowed() -> None:
    code = "import lorabook.core.lora\nclass Own(Update):\n    def __init__(self):\n        super().__init__()\n"
    code += "        self._kept = 1\n    def __call__(self, x):\n        return self._kept"
    assert of("five_claims").parts[0].rules.broken_by(code) == ""


# In the pack


@pytest.fixture
def sheet(tmp_path: Path) -> Sheet:
    path = new_sheet(tmp_path / "hw1", tuple(assignments.NAMES))
    text = path.read_text(encoding="utf-8").replace("hidden = 2", "hidden = 1")
    text = text.replace("cpu = 12 ", "cpu = 60 ").replace("wall = 10 ", "wall = 60 ")  # a loaded machine is no slip
    path.write_text(text, encoding="utf-8")
    return read_sheet(path.parent)


def handed_in(student: str, *code: str) -> Submission:
    cells = [new_code_cell(cell, id=f"cell-{n}") for n, cell in enumerate(code)]
    return Submission(student, nbformat.writes(new_notebook(cells=cells)).encode(), None)


def test_references_get_every_point_stubs_none_and_one_wrong_part_its_share(sheet: Sheet, right_files) -> None:
    stubs = Submission("stubs", nbformat.writes(release.notebook_of(sheet)).encode(), None)
    wrong = assignment_answers.FIVE_CLAIMS[0].source("five_claims")
    right = replace(handed_in("right", *map(reference, assignments.NAMES)), files=right_files)
    found = {one.student: one for one in grade(sheet, [right, stubs, handed_in("wrong", wrong)])}
    assert found["right"].points == 20 * len(assignments.NAMES)
    assert found["stubs"].points == 0
    assert {item.code for item in found["stubs"].items} == {"not-attempted"}
    first = next(item for item in found["wrong"].items if item.exercise == "five_claims")
    assert first.points == 16
    assert "alpha_doubles: does-not-hold" in first.code
    pages = {path.stem: path.read_text(encoding="utf-8") for path in write_feedback(sheet)}
    assert "Twice α (0 of 4): Your claim does not hold" in pages["wrong"]
    assert "Two adapters (4 of 4): Right" in pages["wrong"]
    assert "Not attempted yet" in pages["stubs"] or "not attempted yet" in pages["stubs"]


def test_hostile_answers_get_nothing_and_learn_nothing(sheet: Sheet) -> None:
    item = sheet.items[0]
    names = " = ".join(name for part in item.tasks for name in part.names)
    chosen = list(hostile().items())[::16]
    results = grade(
        sheet, [handed_in(f"h{n}", *hostile_cells(text, item.name, names)) for n, (_, text) in enumerate(chosen)]
    )
    assert [result.student for result in results if result.points] == []


TELLS_APART = """
from lorabook.claims.claim import claim, misconception
from lorabook.core.lora import LowRank
import torch
RIGHT = LowRank.weight
@claim(statement="", source="four words are a reason")
def alpha_doubles(case):
    f = case.factors()
    d = 2 * case.s * f.B @ f.A
    return (d, d) if LowRank.weight is RIGHT else (d, 2 * d)
"""


def test_a_claim_cannot_see_by_the_name_of_a_function_that_the_library_is_broken(grader: Grader) -> None:
    assert judged(of("five_claims").parts[0], TELLS_APART, grader).code == "says-nothing"


def test_an_error_s_text_on_hidden_inputs_does_not_reach_the_student(sheet: Sheet) -> None:
    tells = reference("five_claims").replace(
        "return delta(case, 2 * case.s), 2 * delta(case, case.s)", "raise ValueError(str(case.seed))", 1
    )
    (result,) = grade(sheet, [handed_in("anna", tells)])
    item = sheet.items[0]
    part = item.assignment.parts[0]
    hidden = part.cases(sheet.hidden_seed(sheet.key, "anna", item, 0))
    (page,) = write_feedback(sheet)
    text = page.read_text(encoding="utf-8")
    assert "ValueError" in text
    assert not any(str(trial.world.seed) in text for trial in hidden)
    assert result.items[0].points == 16


def test_what_is_released_holds_stubs_and_no_reference(sheet: Sheet) -> None:
    told = release.release(sheet).read_text(encoding="utf-8")
    for name, assignment in ASSIGNMENTS.items():
        asked = parts.asked_of(assignment)
        assert all(part.title in told for part in assignment.parts)
        lines = [line for item in sheet.items if item.name == name for line in release.solution_lines(item)]
        assert len(lines) > 12
        assert not [line for line in lines if line in told and line not in asked]
    source = sheet.folder / "nbgrader/source/hw1/hw1.ipynb"
    unwritten = told.count("raise NotImplementedError()")
    assert unwritten > len(PARTS)
    assert source.read_text(encoding="utf-8").count("### BEGIN SOLUTION") == unwritten


def test_a_reference_that_would_be_handed_out_is_refused(sheet: Sheet, monkeypatch: pytest.MonkeyPatch) -> None:
    line = next(line for line in release.solution_lines(sheet.items[0]) if '"' in line and "α" in line)
    monkeypatch.setattr(release, "HOW", f"{{title}} {{name}} {{due}} {line}")
    with pytest.raises(Refused, match="a line of the solution of five_claims is in the notebook"):
        release.release(sheet)
    assert not (sheet.folder / "release").exists()


def test_the_self_test_of_a_sheet_of_assignments(tmp_path: Path, monkeypatch, capsys) -> None:
    few = dict(list(hostile().items())[:2])
    monkeypatch.setattr("lorabook.book.pack.selftest.hostile", lambda: few)
    new_sheet(tmp_path / "hw1", (*assignments.NAMES[:1], "scale"))
    code = main(["classroom", "selftest", str(tmp_path / "hw1")])
    assert code == 0, capsys.readouterr().out


def test_a_copy_of_the_book_without_references_says_so(sheet: Sheet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "solution_of", lambda item: None)
    with pytest.raises(Refused, match="has no solution to five_claims"):
        selftest.selftest(sheet)


# In the notebook


def test_a_part_is_tried_in_the_notebook_at_once() -> None:
    space: dict[str, object] = {}
    exec(reference("five_claims"), space)
    part = of("five_claims").parts[0]
    mine = [space[name] for name in part.names]
    assert try_out(part, *mine).mark == "✓"
    assert part_points(part, *mine, of=4) == 4
    assert judgement_here(part, (mine[0], None), 1).code == "no-misconception"
    assert try_out(part, lambda case: 0, None).code == "type"
