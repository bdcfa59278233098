"""The judge: which mistake it names, what it shows of an unknown one, and that it can read any numbers."""

import re

import pytest
import torch
from answer_bank import EXERCISES

from lorabook.book.classroom.check import check
from lorabook.book.classroom.exercise import Exercise, Mistake
from lorabook.book.classroom.judge import judge
from lorabook.book.classroom.seen import Seen, read, written
from lorabook.book.exercises import bits, scale, worst_case


def right(A, B, alpha, r):
    return alpha / r * (B @ A)


def test_a_verdict_says_which_two_mistakes_the_pull_request_makes():
    verdict = check(scale.EXERCISE, lambda A, B, alpha, r: alpha * (A @ B))
    assert (verdict.mark, verdict.code) == ("✗", "alpha+swapped")
    assert verdict.says.startswith("Two mistakes at once. (1) You multiply by α.")
    assert "(2) You multiply A by B." in verdict.says


def test_what_is_not_recognised_is_said_to_be_so_with_input_result_and_what_is_due():
    verdict = check(bits.EXERCISE, lambda block, group: 4 + 8 / block + 16 / (block * group))
    assert re.search(r"no mistake that this exercise knows\. For block = \d+, group = \d+: [\d.]+ came, and \S+ is due",
                     verdict.says)  # fmt: skip


def test_the_first_entry_that_differs_is_shown_with_digits_that_differ():
    def nearly(A, B, alpha, r):
        result = right(A, B, alpha, r)
        result[1, 2] *= 1.001
        return result

    says = check(scale.EXERCISE, nearly).says
    came, due = re.search(
        r"1 of \d+ entries differ; the first of them, \[1, 2\], is (\S+) and should be (\S+)\.", says
    ).groups()
    assert came != due


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda A, B, alpha, r: -right(A, B, alpha, r), "Everything that came is -1 times what is due."),
        (lambda A, B, alpha, r: right(A, B, alpha, r) + 2, "Everything that came is 2 above what is due."),
        (lambda A, B, alpha, r: right(A, B, alpha, r)[None], "The numbers are the right ones."),
    ],
)
def test_a_simple_pattern_is_told(answer, says):
    assert says in check(scale.EXERCISE, answer).says


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda A, B, alpha, r: B.double() @ A, "give it the dtype of the inputs"),
        (lambda A, B, alpha, r: torch.einsum("or,rd->od", B.double(), A), "give it the dtype of the inputs"),
        (lambda A, B, alpha, r: right(A, B, alpha, r).half(), "right as far as float16 can hold them"),
        (lambda A, B, alpha, r: right(A, B, alpha, r)[0], "3 numbers; it should be 3 × 3"),
        (lambda A, B, alpha, r: [1.0, "x"], "a list that holds a str"),
        (lambda A, B, alpha, r: [None], "a list that holds a NoneType"),
        (lambda A, B, alpha: B @ A, "takes (A, B, alpha); it is called with (A, B, alpha, r)"),
        (lambda A, B, alpha, r: None, "Is a `return` missing?"),
        (lambda A, B, alpha, r: right(A.abs(), B.abs(), alpha, r) / 0, "returns inf at [0, 0]"),
        (lambda A, B, alpha, r: right(A.abs(), B.abs(), alpha, r) * torch.nan, "returns nan at [0, 0]"),
        (torch.zeros(3), "of type Tensor. Hand in the function itself"),
    ],
)
def test_what_is_no_answer_has_a_sentence_of_its_own(answer, says):
    assert says in check(scale.EXERCISE, answer).says


JUNK = (0.0, [], [[]], [1.0], [[1.0]], [[0.0] * 3] * 3, [[1e300] * 5] * 5, [[[1.0]]], -1e-300)


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
def test_a_judge_says_something_of_any_numbers(exercise):
    cases = exercise.cases(0)
    names = list(cases[0].given)
    parts = len(getattr(exercise.observe, "names", "1"))
    for junk in JUNK:
        for rest in (junk, 0.0):  # in one part, or in all
            seen = Seen((junk, *[rest] * (parts - 1)), gradients=dict.fromkeys(names))
            judgement = judge(exercise, cases, [seen] * len(cases))
            assert judgement.code != "right"
            assert judgement.says
    assert judge(exercise, cases, []).code == "killed"


def test_observations_come_back_from_json_as_they_were():
    seen = [
        Seen(([[1.0, 2.5]],), dtypes=("float32",), met=(("A", "x"),), gradients={"x": 1.0, "w0": None}),
        Seen(fault="nan", says="no"),
    ]
    assert read(written(seen)) == seen


@pytest.mark.parametrize(
    "text",
    [b"", b"1", b"[1]", b"null", b"[" * 10**5,
     b'[{"parts": [], "fault": "right", "says": "", "dtypes": [], "met": [], "gradients": {}}]',
     b'[{"parts": [NaN], "fault": "", "says": "", "dtypes": [], "met": [], "gradients": {}}]',
     b'[{"parts": [[[1], 2]], "fault": "", "says": "", "dtypes": [], "met": [], "gradients": {}}]',
     b'[{"parts": ["1"], "fault": "", "says": "", "dtypes": [], "met": [], "gradients": {}}]',
     b'[{"parts": [1' + b"0" * 400 + b'], "fault": "", "says": "", "dtypes": [], "met": [], "gradients": {}}]',
     b"\xff"],
)  # fmt: skip
def test_a_strangers_report_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011
        read(text)


def test_an_exercise_that_cannot_tell_its_mistakes_apart_is_refused():
    given = {"title": "Same", "function": "f", "difficulty": 1, "minutes": 1, "prompt": "", "hints": ()}
    same = Exercise(**given, draw=lambda stream: [worst_case.Size(2)], answer=lambda case, k=1.0: 2.0 * abs(k),
                    mistakes=(Mistake("minus", "", {"k": -1.0}),))  # fmt: skip
    with pytest.raises(ValueError, match="never told the right answer from minus"):
        same.cases(0)
    with pytest.raises(ValueError, match="the code 'twice' stands for two mistakes"):
        Exercise(**given, draw=lambda stream: [], answer=lambda case: 1.0, mistakes=(Mistake("twice", "", {}),) * 2)
    with pytest.raises(ValueError, match="difficulty is 6"):
        Exercise(**{**given, "difficulty": 6}, draw=lambda stream: [], answer=lambda case: 1.0, mistakes=())
