"""Every exercise of the book, found by itself: its solution, its stub, its cases, its card; the bank of answers."""

import re

import pytest
import torch
from answer_bank import EXERCISES, Answer, answers

from lorabook.book.classroom import check as checking
from lorabook.book.classroom.cards import hint, show
from lorabook.book.classroom.check import check, judgement_here
from lorabook.book.classroom.exercise import Exercise
from lorabook.book.classroom.grader import Grader
from lorabook.book.classroom.request import Limits
from lorabook.book.classroom.solutions import cut, solution, solved_cells
from lorabook.models.paths import notebooks_dir

CELLS = [cell for source in sorted((notebooks_dir() / "src").glob("*.py")) for cell in solved_cells(source)]
ANSWERS = answers()
SEED, SECONDS = 2718, 3.0
each = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)


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


def test_no_two_exercises_ask_for_a_function_of_one_name():
    """By that name the solution is found, in the book and in what was handed in."""
    names = [exercise.function for exercise in EXERCISES.values()]
    assert len(names) == len(set(names)), sorted(name for name in names if names.count(name) > 1)


@each
def test_the_solution_in_the_chapter_passes_and_its_stub_waits(exercise):
    assert check(exercise, defined(written(exercise), exercise.function)).mark == "✓"
    verdict = check(exercise, defined(cut(written(exercise)), exercise.function))
    assert (verdict.mark, verdict.passed, verdict.points) == ("○", False, 0)
    assert "not attempted yet" in verdict.says


@each
def test_the_solution_can_be_shown(exercise, capsys):
    solution(exercise)
    shown = capsys.readouterr().out
    assert check(exercise, defined(shown.split("\nbook.check(")[0], exercise.function)).passed
    assert "SOLUTION" not in shown


@pytest.mark.parametrize("rows", [4, 6])
def test_the_rank_at_a_share_of_one_is_the_numerical_rank(rows):
    exercise = EXERCISES["needed"]
    answer = defined(written(exercise), exercise.function)
    for seed in range(50):
        g = torch.Generator().manual_seed(seed)
        full, thin = (
            torch.randn(rows, 5, generator=g),
            torch.randn(rows, 2, generator=g) @ torch.randn(2, 7, generator=g),
        )
        assert (answer(full, 1.0), answer(thin, 1.0)) == (min(rows, 5), 2)


def test_there_are_answers_enough():
    assert sum(answer.due == "right" for answer in ANSWERS) >= 100
    assert sum(answer.due != "right" for answer in ANSWERS) >= 90
    for name in EXERCISES:
        assert sum(answer.due == "right" for answer in ANSWERS if answer.exercise == name) >= 10
    names = [answer.name for answer in ANSWERS]
    assert len(set(names)) == len(names)


@each
def test_every_mistake_that_an_exercise_knows_is_made_in_the_bank(exercise):
    made = {answer.due for answer in ANSWERS if EXERCISES[answer.exercise] is exercise}
    known = {one.code for one in (*exercise.mistakes, *exercise.symptoms, *exercise.conditions)}
    assert known <= made
    says = [one.says for one in (*exercise.mistakes, *exercise.symptoms, *exercise.conditions)]
    assert all(text.strip() == text and text for text in says)


@pytest.fixture(scope="module")
def grader():
    with Grader(Limits(wall=SECONDS)) as running:
        yield running


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.name)
def test_an_answer_gets_its_code_both_ways(answer: Answer, grader: Grader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "SECONDS", SECONDS)
    exercise = EXERCISES[answer.exercise]
    here = judgement_here(exercise, answer.function(), SEED)
    assert here.code == answer.due, here.says
    assert grader.judgement(exercise, answer.cells(), SEED) == here
    assert here.points == 1 if answer.due == "right" else here.points <= 0.5


@each
def test_cases_follow_from_their_seed_and_differ_with_it(exercise):
    assert exercise.cases(1) == exercise.cases(1)
    drawn = [exercise.cases(seed) for seed in range(40)]
    assert len({repr(cases) for cases in drawn}) > 10
    assert len({len(cases) for cases in drawn}) == 1


def test_the_largest_weight_of_a_block_is_anywhere_and_of_either_sign():
    blocks = [case.w for seed in range(20) for case in EXERCISES["nearest"].cases(seed)]
    largest = [max(range(len(w)), key=lambda i: abs(w[i])) for w in blocks]
    assert set(largest) == set(range(9))
    assert {w[i] > 0 for w, i in zip(blocks, largest, strict=True)} == {True, False}


@each
def test_the_card_says_what_to_expect(exercise):
    text = repr(show(exercise))
    assert exercise.title in text
    assert f"about {exercise.minutes} minutes" in text
    assert text.count("●") == exercise.difficulty
    assert f"{exercise.function}({', '.join(exercise.cases(0)[0].given)})" in text


@each
def test_hints_are_a_ladder_with_an_end(exercise):
    texts = [repr(hint(exercise, n)) for n in range(1, len(exercise.hints) + 1)]
    assert len(set(texts)) == len(texts) >= 3
    for n in (0, len(texts) + 1):
        with pytest.raises(ValueError, match=r"has hints 1 to 3"):
            hint(exercise, n)
