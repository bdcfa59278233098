"""The grader's child: hostile answers get nothing and touch nothing, no answer is ever in it, functions are cut out."""

import subprocess
import sys
from pathlib import Path

import pytest
from answer_bank import EXERCISES, IMPORTS

import lorabook
from lorabook.book.classroom.grader import Grader, confinement
from lorabook.book.classroom.request import Limits
from lorabook.book.classroom.taken import taken
from lorabook.book.exercises import scale
from lorabook.book.pack.hostile import MODULES, cells, hostile

HOSTILE = hostile()
NAMES = list(EXERCISES)
RIGHT = [IMPORTS, "def delta_w(A, B, alpha, r):\n    return alpha / r * (B @ A)"]
SECONDS = 0.5


@pytest.fixture(scope="module")
def grader():
    with Grader(Limits(cpu=3, wall=SECONDS)) as running:
        yield running


def test_this_system_confines_a_child():
    assert all(confinement().values()), "on other systems it says what is missing"


def test_there_are_hostile_answers_enough():
    assert len(HOSTILE) >= 60


@pytest.mark.parametrize("place", range(len(HOSTILE)), ids=list(HOSTILE))
def test_a_hostile_answer_gets_nothing_and_touches_nothing(place, grader):
    left_behind = Path("/tmp/left_by_a_submission")
    left_behind.unlink(missing_ok=True)
    package = Path(lorabook.__file__).parent
    judge_file = (package / "book/classroom/judge.py").read_bytes()
    text = list(HOSTILE.values())[place]
    for name in (NAMES[place % 8], NAMES[(place + 3) % 8]):
        exercise = EXERCISES[name]
        judgement = grader.judgement(exercise, cells(text, name, exercise.function), seed=place)
        assert judgement.points == 0, judgement.says
        assert judgement.code != "right"
        assert exercise.hints[-1] not in judgement.says, "no file of answers is read out"
    assert grader.judgement(scale.EXERCISE, RIGHT, seed=place).points == 1, "the grader goes on"
    assert not left_behind.exists()
    assert (package / "book/classroom/judge.py").read_bytes() == judge_file


def test_a_key_beside_the_sheet_is_out_of_reach(grader, tmp_path):
    key = tmp_path / "key"
    key.write_text("a seed")
    own = [MODULES, f"def delta_w(*given):\n    raise ValueError(Path({str(key)!r}).read_text())"]
    judgement = grader.judgement(scale.EXERCISE, own, seed=0)
    assert "PermissionError" in judgement.says
    assert "a seed" not in judgement.says


def test_the_process_that_forks_children_has_loaded_no_answers():
    code = (
        "import sys; import lorabook.book.classroom.server\n"
        "print(*(name for name in sys.modules if 'exercise' in name or 'judge' in name or 'solutions' in name))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
def test_what_observes_an_exercise_lies_outside_of_the_exercises(exercise):
    observe = exercise.observe
    module = observe.__module__ if hasattr(observe, "__module__") else type(observe).__module__
    assert module in ("lorabook.book.classroom.observe", "lorabook.book.classroom.traced")


@pytest.mark.parametrize("wall", [0.2])
def test_a_loop_that_switches_the_alarm_off_costs_its_limit_and_two_seconds(wall):
    text = HOSTILE["an endless loop with the alarm switched off"]
    with Grader(Limits(wall=wall)) as grader:
        judgement = grader.judgement(scale.EXERCISE, [MODULES, text, "delta_w = answer"], seed=0)
    assert judgement.code == "endless"


CELLS = [
    "%matplotlib inline\nimport torch\nfrom math import sqrt as root, pi\n!pip install nothing",
    "print('never run')\nraise SystemExit",
    "SCALE = 2.0; OTHER = 3.0\nunused = torch.zeros(10**9)",
    "@decorate\ndef helper(x):\n    # a comment\n    return root(x) * SCALE",
    "def f(x):\n    return 1",
    "def f(x):\n    return helper(x)\n\nbook.check(EXERCISE, f)",
    "this is no Python",
    "def decorate(g):\n    return g",
]


def test_a_function_is_taken_with_what_it_needs_in_the_order_of_the_notebook():
    source = taken(CELLS, "f")
    assert "never run" not in source
    assert "unused" not in source
    assert "book.check" not in source
    assert "OTHER" not in source
    assert "    # a comment\n" in source
    assert (
        source.index("SCALE = 2.0")
        < source.index("@decorate")
        < source.index("return 1")
        < source.index("def decorate")
    )
    assert source.index("return 1") < source.index("return helper(x)")
    assert "from math import sqrt as root" in source


def test_a_class_a_partial_and_a_lambda_are_functions_too():
    assert taken(["class F:\n    pass", "f = F()"], "f") == "class F:\n    pass\nf = F()"
    assert taken(["from functools import partial", "f = partial(max, 1)"], "f").endswith("f = partial(max, 1)")
    assert taken(["if True:\n    f = lambda x: x"], "f") == "if True:\n    f = lambda x: x"
    assert taken(["g = 1"], "f") is None
    assert taken(["def f(:\n"], "f") is None


def test_what_is_not_there_is_said_to_be_missing(grader):
    assert grader.judgement(scale.EXERCISE, ["x = 1"], seed=0).code == "not-defined"
    says = grader.judgement(scale.EXERCISE, ["delta_w = 1 / 0"], seed=0).says
    assert says == "`delta_w` is not defined. Line 1 of it stops with ZeroDivisionError."


def test_an_import_that_fails_costs_nothing_if_nothing_needs_it(grader):
    own = ["import torch\ntry:\n    import no_such_module\nexcept ImportError:\n    no_such_module = None", RIGHT[1]]
    assert grader.judgement(scale.EXERCISE, own, seed=0).points == 1


def test_stderr_and_status_cost_nothing(grader):
    text = RIGHT[1].replace("    return", "    print('careful', file=sys.stderr)\n    return")
    assert grader.judgement(scale.EXERCISE, ["import sys", text], seed=0).points == 1
