"""The check in the notebook: nothing comes out of it, loops end in it, and what a learner changes is put back."""

import itertools
import random
import re
import signal
import subprocess
import sys
import threading
import time

import nbformat
import numpy as np
import pytest
import torch
from answer_bank import EXERCISES
from jupytext import reads
from nbclient import NotebookClient

from lorabook.book import offline
from lorabook.book.classroom import check as checking
from lorabook.book.classroom.check import check
from lorabook.book.classroom.keep import settings_kept
from lorabook.book.classroom.limits import Raised, TooSlow, guarded, limit
from lorabook.book.classroom.solutions import cut
from lorabook.book.exercises import scale
from lorabook.models.paths import notebooks_dir


def right(A, B, alpha, r):
    return alpha / r * (B @ A)


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(checking, "SECONDS", 0.3)


def test_a_crash_names_the_learners_line_and_the_sizes_of_the_inputs():
    verdict = check(scale.EXERCISE, lambda A, B, alpha, r: B @ C)  # noqa: F821
    assert "NameError" in verdict.says
    assert "in line 1 of `<lambda>`: `verdict = check(" in verdict.says
    assert re.search(r"called with A = 3 × 3, B = 3 × 3, alpha = 7.0, r = 3\.", verdict.says)


@pytest.mark.parametrize(
    ("error", "code"),
    [(SystemExit, "exit"), (KeyboardInterrupt, "exit"), (GeneratorExit, "raised"), (MemoryError, "memory")],
)
def test_nothing_that_a_learner_raises_comes_out(error, code):
    def answer(*given):
        raise error

    assert check(scale.EXERCISE, answer).code == code


def test_an_error_whose_text_is_an_error_is_named():
    class Mute(Exception):
        def __str__(self):
            raise self

    def answer(*given):
        raise Mute

    assert "cannot be shown: Mute" in check(scale.EXERCISE, answer).says


def test_the_readers_own_interrupt_comes_out():
    def answer(*given):
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        check(scale.EXERCISE, answer)

    def swallows(A, B, alpha, r):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            return right(A, B, alpha, r)

    with pytest.raises(KeyboardInterrupt):
        check(scale.EXERCISE, swallows)


def endless_and_bare():
    while True:
        pass


def endless_in_two_handlers():
    while True:
        try:
            try:
                time.sleep(0.001)
            except BaseException:
                continue
        except BaseException:
            continue


def endless_in_finally():
    while True:
        try:
            sum(range(100))
        finally:
            continue  # noqa: B012


def endless_in_torch():
    for _ in itertools.count():
        try:
            torch.ones(30, 30) @ torch.ones(30, 30)
        except BaseException:
            continue


@pytest.mark.parametrize("loop", [endless_and_bare, endless_in_two_handlers, endless_in_finally,
                                  endless_in_torch])  # fmt: skip
def test_no_loop_written_in_python_outlives_its_limit(loop):
    start = time.monotonic()
    with limit(0.2) as watch:
        result = guarded(loop)
    assert isinstance(result, Raised)
    assert isinstance(result.error, TooSlow)
    assert watch.over
    assert time.monotonic() - start < 3
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_the_limit_is_one_for_all_cases(short):
    def slow(A, B, alpha, r):
        time.sleep(0.2)
        return right(A, B, alpha, r)

    assert check(scale.EXERCISE, slow).code == "endless"


def test_off_the_main_thread_a_loop_ends_too(short):
    verdicts = []
    thread = threading.Thread(target=lambda: verdicts.append(check(scale.EXERCISE, lambda *given: endless_and_bare())))
    thread.start()
    thread.join(10)
    assert [verdict.code for verdict in verdicts] == ["endless"]


def test_after_a_limit_off_the_main_thread_a_traced_program_still_ends():
    """In a process of its own: what is wrong here stays wrong for all that comes after."""
    program = """
import sys, threading
from lorabook.book.classroom.limits import guarded, limit

def work(seconds, call):
    with limit(seconds):
        guarded(call)

for seconds, call in ((60, int), (0.05, lambda: [None for _ in iter(int, 1)])):
    thread = threading.Thread(target=work, args=(seconds, call))
    thread.start()
    thread.join()
sys.settrace(lambda *_: None)
print(sum(number for number in range(10)))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "45\n"


def test_what_a_learner_changes_is_put_back():
    def careless(A, B, alpha, r):
        torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta")
        torch.set_grad_enabled(False)
        torch.set_deterministic_debug_mode("error")
        torch.set_num_threads(torch.get_num_threads() + 1)
        torch.set_printoptions(precision=1)
        torch.manual_seed(0)
        np.random.seed(0)
        np.set_printoptions(precision=1)
        np.seterr(all="raise")
        return right(A, B, alpha, r)

    def settings():
        return (torch.get_default_dtype(), torch.get_default_device(),
                torch.is_grad_enabled(), torch.get_num_threads(),
                torch.get_deterministic_debug_mode(), torch.get_rng_state().tolist(),
                np.random.get_state()[1].tolist(), np.get_printoptions(), np.geterr(),
                repr(torch.ones(1) / 3))  # fmt: skip

    before = settings()
    check(scale.EXERCISE, careless)
    assert settings() == before


def test_a_first_check_loads_no_compiler_in_the_learners_seconds():
    program = """
import sys
from lorabook.book.classroom.check import check
from lorabook.book.exercises import frozen_a
assert check(frozen_a.EXERCISE, lambda x, A, B, s: s * (x @ A.detach().T @ B.T)).code == "right"
print(*sorted({"sympy", "torch._dynamo", "torch._inductor"} & set(sys.modules)))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "\n"


def test_pythons_random_stream_is_put_back():
    random.seed(1)
    with settings_kept():  # not in a check: the tests' type checker draws from it
        random.seed(0)
        random.random()
    came = random.random()
    random.seed(1)
    assert came == random.random()


def test_gradients_are_on_during_a_check_even_if_the_notebook_has_them_off():
    with torch.no_grad():
        assert check(scale.EXERCISE, lambda A, B, alpha, r: right(A.requires_grad_(), B, alpha, r).relu() * 0
                     + right(A, B, alpha, r) * float(torch.is_grad_enabled())).passed  # fmt: skip


def test_prints_come_before_the_verdict_and_never_flood_the_page(capsys):
    def prints(A, B, alpha, r):
        print("x" * 10_000)
        return right(A, B, alpha, r)

    assert check(scale.EXERCISE, prints).passed
    shown = capsys.readouterr().out
    assert len(shown) < 2_100
    assert shown.endswith("characters more\n")


CELLS = (
    "from lorabook.book import reading as book\nfrom lorabook.book.exercises import scale",
    "def delta_w(A, B, alpha, r):\n    print('leaving')\n    exit()\n\n\nbook.check(scale.EXERCISE, delta_w)",
    "def delta_w(A, B, alpha, r):\n    return alpha * (A @ B)\n\n\nbook.check(scale.EXERCISE, delta_w)",
)


def test_a_real_kernel_goes_on_after_exit_and_shows_the_verdict_last():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    NotebookClient(notebook, timeout=200, kernel_name="python3").execute(env=offline.environment())
    _, leaves, wrong = (cell.outputs for cell in notebook.cells)
    assert leaves[0].text.startswith("leaving")
    assert "ends Python (SystemExit), in line 3 of `delta_w`: `exit()`" in leaves[-1].data["text/plain"]
    assert 'role="status"' in wrong[-1].data["text/html"]
    assert "Two mistakes at once" in wrong[-1].data["text/plain"]


def test_each_check_draws_its_own_cases():
    came = []
    for _ in range(2):
        check(scale.EXERCISE, lambda A, B, alpha, r: came.append(A.tolist()))
    assert came[0] != came[len(came) // 2]


def test_the_notebook_that_people_open_holds_no_solution():
    for path in sorted(notebooks_dir().glob("*.ipynb")):
        cells = [cell.source for cell in reads(path.read_text(encoding="utf-8"), fmt="ipynb").cells]
        assert not any("SOLUTION" in cell for cell in cells)
        for exercise in EXERCISES.values():
            for cell in cells:
                if re.search(rf"^def {exercise.function}\(", cell, re.MULTILINE):
                    assert "# YOUR CODE HERE\n    raise NotImplementedError()" in cell


def test_a_mark_without_its_partner_is_refused():
    with pytest.raises(ValueError, match="has no partner"):
        cut("def f():\n    ### BEGIN SOLUTION\n    return 1\n")
    with pytest.raises(ValueError, match="has no partner"):
        cut("def f():\n    return 1\n    ### END SOLUTION\n")


def test_cutting_keeps_what_is_around():
    text = "a = 1\n    ### BEGIN SOLUTION\n    b\n    ### END SOLUTION\nc = 3\n### BEGIN SOLUTION\nd\n### END SOLUTION"
    stub = "# YOUR CODE HERE\n{}raise NotImplementedError()"
    assert cut(text) == f"a = 1\n    {stub.format('    ')}\nc = 3\n{stub.format('')}"
    assert cut("a = 1") == "a = 1"
