"""A chapter's own imports: what `reading` offers, and that the command line does not pay for it."""

import os
import subprocess
import sys
from types import ModuleType

import pytest

from lorabook.book import reading
from lorabook.book.commands import COMMANDS

HEAVY = ("anywidget", "ipywidgets", "IPython", "matplotlib", "plotly", "jupytext", "jupyterlab", "nbclient", "nbformat")
OFFERED = {name: value for name, value in vars(reading).items() if not name.startswith("__") and name != "jaxtyping"}
"""What stands there; jaxtyping's import hook, which checks shapes in tests, adds itself."""


def loaded(code: str) -> set[str]:
    """Return which heavy packages a fresh Python has loaded after `code`."""
    print_them = f"import sys; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{print_them}"], capture_output=True, text=True, check=True
    ).stdout
    return set(done.splitlines()[-1].split())


def test_what_a_chapter_calls_is_no_module() -> None:
    assert {name for name, value in OFFERED.items() if isinstance(value, ModuleType)} == set()
    assert all(callable(value) and value.__doc__ for value in OFFERED.values())


def test_reading_draws_with_widgets_and_loads_neither_pyplot_nor_what_builds_the_book() -> None:
    assert loaded("from lorabook.book import reading") <= {"anywidget", "ipywidgets", "IPython"}


@pytest.mark.parametrize(
    "code",
    [
        "import lorabook.book.commands",
        "from lorabook.book.cli import main; main(['list'])",
        "from lorabook.book.cli import main; main(['check', 'rank_is_at_most_r'])",
    ],
)
def test_the_command_line_loads_no_widgets_and_nothing_of_jupyter(code: str) -> None:
    assert loaded(code) == set()


def test_every_command_is_documented_by_itself() -> None:
    assert all(command.help and command.description for command in COMMANDS)
    assert len({command.name for command in COMMANDS}) == len(COMMANDS)


def test_a_kernel_computes_on_one_thread_whoever_starts_it() -> None:
    code = "import torch; from lorabook.book import reading; print(torch.get_num_threads())"
    bare = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", code], env=bare, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
