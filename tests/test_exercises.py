"""Every exercise of the book, found by itself: its solution passes, its stub waits, each wrong answer is told apart."""

import importlib
import pkgutil
import re

import pytest
import torch

from lorabook.book import classroom
from lorabook.book.classroom.exercise import Exercise, check
from lorabook.book.classroom.solutions import cut, solved_cells
from lorabook.models.paths import notebooks_dir

CELLS = [cell for source in sorted((notebooks_dir() / "src").glob("*.py")) for cell in solved_cells(source)]


def found() -> list[Exercise]:
    """Return the exercises of all modules of the classroom."""
    names = [f"{classroom.__name__}.{one.name}" for one in pkgutil.iter_modules(classroom.__path__)]
    modules = [importlib.import_module(name) for name in names]
    return [value for module in modules for value in vars(module).values() if isinstance(value, Exercise)]


EXERCISES = found()
each = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.title)


def written(exercise: Exercise) -> str:
    """Return the one cell of the chapters' sources that holds the solution, without the check that may follow it."""
    (cell,) = [cell for cell in CELLS if re.search(rf"^def {exercise.function}\(", cell, re.MULTILINE)]
    return cell.split("\nbook.check(")[0]


def defined(text: str, name: str):
    """Return the function that a cell defines, as a notebook that has imported torch would have it."""
    space = {"torch": torch, "F": torch.nn.functional}
    exec(compile(text, "cell", "exec"), space)
    return space[name]


def test_every_solution_in_a_chapter_belongs_to_an_exercise():
    assert len(EXERCISES) == len(CELLS) >= 8


@each
def test_the_solution_in_the_chapter_passes_and_its_stub_waits(exercise):
    assert check(exercise, defined(written(exercise), exercise.function)).mark == "✓"
    assert check(exercise, defined(cut(written(exercise)), exercise.function)).mark == "○"


@each
def test_each_wrong_answer_gets_its_own_diagnosis(exercise):
    for wrong in exercise.bank:
        verdict = check(exercise, wrong.answer)
        assert (verdict.mark, verdict.says) == ("✗", wrong.gets)
    assert len({wrong.gets for wrong in exercise.bank}) == len(exercise.bank) >= 3
