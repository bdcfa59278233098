"""Exercises: the reference passes, each wrong answer is told its own mistake, stubs wait, crashes are located."""

import linecache
import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest
import torch
from jupytext import reads

from lorabook.book.classroom import count, scale, two_path
from lorabook.book.classroom.exercise import Exercise, check, hint, show
from lorabook.book.classroom.running import run
from lorabook.book.classroom.solutions import cut, solution, solved_cells
from lorabook.models.paths import notebooks_dir

EXERCISES = (scale.EXERCISE, two_path.EXERCISE, count.EXERCISE)
SOURCE = notebooks_dir() / "src" / "02_lora.py"
each = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.title)


def written(exercise: Exercise) -> str:
    """The cell of the chapter's source that holds the solution."""
    return next(cell for cell in solved_cells(SOURCE) if f"def {exercise.function}(" in cell)


def defined(text: str, name: str) -> Callable:
    """The function that a cell defines, as a notebook that has imported torch would have it."""
    space = {"torch": torch, "F": torch.nn.functional}
    exec(compile(text, "cell", "exec"), space)  # what a notebook does with a cell
    return space[name]


@each
def test_the_solution_in_the_chapter_passes(exercise: Exercise) -> None:
    assert check(exercise, defined(written(exercise), exercise.function)).passed


@each
def test_the_stub_waits_and_is_no_error(exercise: Exercise) -> None:
    verdict = check(exercise, defined(cut(written(exercise)), exercise.function))
    assert (verdict.mark, verdict.passed) == ("○", False)
    assert "not attempted yet" in verdict.says


@pytest.mark.parametrize(
    ("exercise", "place"), [(exercise, i) for exercise in EXERCISES for i in range(len(exercise.bank))]
)
def test_a_wrong_answer_is_told_its_own_mistake(exercise: Exercise, place: int) -> None:
    verdict = check(exercise, exercise.bank[place].answer)
    assert verdict.mark == "✗"
    assert verdict.says == exercise.bank[place].gets


@each
def test_no_two_wrong_answers_are_told_the_same(exercise: Exercise) -> None:
    assert len({wrong.gets for wrong in exercise.bank}) == len(exercise.bank) >= 5


@each
def test_an_unforeseen_wrong_answer_is_still_wrong(exercise: Exercise) -> None:
    right = defined(written(exercise), exercise.function)
    verdict = check(exercise, lambda *given: right(*given) * 1.01)
    assert verdict.mark == "✗"
    assert "the first is" in verdict.says


@each
@pytest.mark.parametrize(
    ("body", "says"),
    [("return None", "a NoneType"), ("return 'eight'", "a str"), ("return torch.zeros(2, 9)", "returns a tensor")],
)
def test_what_is_no_answer_is_said_to_be_none(exercise: Exercise, body: str, says: str) -> None:
    assert says in check(exercise, defined(f"def answer(*given):\n    {body}", "answer")).says


def learner(body: str, file: str = "<a learner's cell>") -> Callable:
    """A function as a notebook keeps it: its lines are in linecache."""
    text = textwrap.dedent(body)
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    space = {"torch": torch}
    exec(compile(text, file, "exec"), space)
    return space["answer"]


def test_a_crash_names_the_learners_line() -> None:
    verdict = check(scale.EXERCISE, learner("def answer(A, B, alpha, r):\n    s = alpha / r\n    return s * B @ C\n"))
    assert verdict.mark == "✗"
    assert "NameError" in verdict.says
    assert "in line 3 of the function: `return s * B @ C`" in verdict.says


def test_a_crash_inside_torch_still_names_the_learners_line() -> None:
    body = "def answer(x, w0, bias, A, B, s):\n    return torch.stack([x, A.T, bias])\n"
    verdict = check(two_path.EXERCISE, learner(body))
    assert "in line 2 of the function" in verdict.says


def test_endless_recursion_is_reported() -> None:
    verdict = check(count.EXERCISE, learner("def answer(shapes, layers, r):\n    return answer(shapes, layers, r)\n"))
    assert "calls itself without end, in line 2" in verdict.says


def test_an_endless_loop_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lorabook.book.classroom.running.SECONDS", 1)
    failed = run(learner("def answer():\n    while True:\n        pass\n"))
    assert "more than 1 seconds, in line" in failed.says


def test_a_name_that_is_no_function_is_said_to_be_none() -> None:
    assert "Hand in the function itself" in check(scale.EXERCISE, torch.zeros(3)).says


PATCHES = """
import torch
from lorabook.book.classroom import scale
from lorabook.book.reading import check
torch.allclose = torch.equal = torch.Tensor.allclose = lambda *a, **k: True
torch.Tensor.__eq__ = torch.Tensor.__sub__ = lambda *a: torch.zeros(1)
torch.Tensor.tolist = lambda self: [[0.0]]
torch.tensor = torch.zeros
torch.Tensor.double = torch.Tensor.detach = lambda self: self
verdict = check(scale.EXERCISE, lambda A, B, alpha, r: alpha * B @ A)
print(verdict.mark, "α" in verdict.says)
"""


def test_patching_torch_in_the_notebook_does_not_fool_the_check() -> None:
    done = subprocess.run([sys.executable, "-c", PATCHES], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["✗", "True"]


@each
def test_the_card_says_what_to_expect(exercise: Exercise) -> None:
    text = repr(show(exercise))
    assert exercise.title in text
    assert f"about {exercise.minutes} minutes" in text
    assert text.count("●") == exercise.difficulty
    assert f"{exercise.function}(" in text


@each
def test_hints_are_a_ladder_with_an_end(exercise: Exercise) -> None:
    texts = [repr(hint(exercise, n)) for n in range(1, len(exercise.hints) + 1)]
    assert len(set(texts)) == len(texts) >= 3
    for n in (0, len(texts) + 1):
        with pytest.raises(ValueError, match=r"has hints 1 to 3"):
            hint(exercise, n)


@each
def test_the_solution_can_be_shown(exercise: Exercise, capsys: pytest.CaptureFixture[str]) -> None:
    solution(exercise)
    shown = capsys.readouterr().out
    assert check(exercise, defined(shown, exercise.function)).passed
    assert "SOLUTION" not in shown


def test_the_notebook_that_people_open_holds_no_solution() -> None:
    notebook = reads((notebooks_dir() / "02_lora.ipynb").read_text(encoding="utf-8"), fmt="ipynb")
    cells = [cell.source for cell in notebook.cells]
    assert not any("SOLUTION" in cell for cell in cells)
    for exercise in EXERCISES:
        stub = next(cell for cell in cells if f"def {exercise.function}(" in cell)
        assert stub.strip() == cut(written(exercise)).strip()
        assert "raise NotImplementedError()" in stub


def test_a_mark_without_its_partner_is_refused() -> None:
    with pytest.raises(ValueError, match="has no partner"):
        cut("def f():\n    ### BEGIN SOLUTION\n    return 1\n")
    with pytest.raises(ValueError, match="has no partner"):
        cut("def f():\n    return 1\n    ### END SOLUTION\n")


def test_cutting_keeps_what_is_around() -> None:
    text = "a = 1\n    ### BEGIN SOLUTION\n    b\n    ### END SOLUTION\nc = 3\n### BEGIN SOLUTION\nd\n### END SOLUTION"
    stub = "# YOUR CODE HERE\n{}raise NotImplementedError()"
    assert cut(text) == f"a = 1\n    {stub.format('    ')}\nc = 3\n{stub.format('')}"
    assert cut("a = 1") == "a = 1"


def test_an_impossible_difficulty_is_refused() -> None:
    with pytest.raises(ValueError, match="difficulty is 6"):
        Exercise("title", "f", 6, 1, "", (), lambda answer: None, ())
