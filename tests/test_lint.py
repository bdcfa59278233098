"""Ruff on everything, and proof that it sees the mistakes we fear most: checks that check nothing."""

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
LONGEST_FILE = 250

NOTHING_CHECKED = {
    "B015": "1 == 2\n",
    "B018": "value = 1\nvalue\n",
    "PLW0133": "def f():\n    ValueError('lost')\n",
    "F901": "def f():\n    raise NotImplemented\n",
    "F631": "assert (1 == 2, 'always true')\n",
}


def ruff(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--no-cache", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def codes(path: Path) -> set[str]:
    done = ruff("--config", str(ROOT / "pyproject.toml"), "--output-format", "json", str(path))
    return {found["code"] for found in json.loads(done.stdout)}


def test_the_repository_is_clean() -> None:
    done = ruff()
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_library_and_its_tests_are_formatted() -> None:
    command = [sys.executable, "-m", "ruff", "format", "--no-cache", "--check", "lorabook", "tests", "data"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("code", "text"), NOTHING_CHECKED.items())
def test_a_check_that_checks_nothing_is_found(code: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text(text, encoding="utf-8")
    assert code in codes(tmp_path / "planted.py")


@pytest.mark.parametrize(("code", "text"), [("B015", "1 == 2\nprint()"), ("B018", "value = 1\nvalue\nprint()")])
def test_it_is_found_in_a_built_notebook_too_but_a_last_value_is_output(code: str, text: str, tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text)])
    nbformat.write(notebook, tmp_path / "planted.ipynb")
    assert codes(tmp_path / "planted.ipynb") == {code}
    notebook.cells[0].source = text.removesuffix("\nprint()")
    nbformat.write(notebook, tmp_path / "planted.ipynb")
    assert codes(tmp_path / "planted.ipynb") == set()


def test_ruff_reads_sources_and_notebooks_of_the_book() -> None:
    seen = ruff("--show-files").stdout.split()
    for pattern in ("lorabook/*.py", "tests/*.py", "notebooks/src/*.py", "notebooks/*.ipynb"):
        missing = {str(path) for path in ROOT.glob(pattern)} - set(seen)
        assert not missing


def test_files_of_the_package_are_short() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / "lorabook").rglob("*.py")}
    assert {str(path): length for path, length in lengths.items() if length > LONGEST_FILE} == {}
