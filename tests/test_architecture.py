"""The house: imports run downwards and never in a circle, every folder says what belongs there, every name has a home.

The rules of imports are contracts in pyproject.toml, held by import-linter. Here they are run, and shown to see.
"""

import ast
import importlib
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lorabook

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "lorabook"
PACKAGES = [path.parent for path in sorted(PACKAGE.rglob("__init__.py"))]
RUN_NOT_IMPORTED = {"__main__", "sitecustomize"}
FILES = sorted(PACKAGE.rglob("*.py"))


def linted(folder: Path) -> subprocess.CompletedProcess[str]:
    """import-linter on the package in a folder, by the contracts of this repository."""
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo", ROOT / "pyproject.toml"],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_imports_run_downwards_and_never_in_a_circle() -> None:
    done = linted(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("core/fit.py", "from lorabook.book import style", "imports run downwards"),
        ("axes/form/dora.py", "def f():\n    from lorabook.claims import claim", "imports run downwards"),
        ("many/pair.py", "import lorabook.claims.dora", "imports run downwards"),
        ("core/frozen.py", "from lorabook.core import inject", "in a circle"),
        ("models/decoder.py", "from lorabook.axes.attention import longlora", "in a circle"),
        ("core/recipe.py", "from lorabook.core import lora", "a recipe is pure data"),
    ],
)
def test_an_import_that_breaks_a_rule_is_seen(file: str, line: str, contract: str, tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "lorabook", ignore=shutil.ignore_patterns("__pycache__", "*.js", "*.css"))
    planted = tmp_path / "lorabook" / file
    planted.write_text(planted.read_text(encoding="utf-8") + f"\n{line}\n", encoding="utf-8")
    done = linted(tmp_path)
    assert done.returncode == 1
    assert any(contract in said and "BROKEN" in said for said in done.stdout.splitlines())


def test_the_top_level_holds_rooms_and_nothing_else() -> None:
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "__main__.py"}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_folder_says_what_belongs_there(package: Path) -> None:
    said = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8")))
    assert said
    assert len(said) > 20


def test_every_public_name_is_defined_in_the_one_home_that_is_given_for_it() -> None:
    for name, home in lorabook._HOMES.items():
        assert getattr(lorabook, name).__module__ == f"lorabook.{home}"
    assert set(lorabook.__all__) <= set(dir(lorabook))
    with pytest.raises(AttributeError, match="no attribute 'LoRaX'; its names are AdaLoRA"):
        _ = lorabook.LoRaX


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_name_hides_a_module(package: Path) -> None:
    dotted = ".".join(package.relative_to(ROOT).parts)
    there = importlib.import_module(dotted)
    for info in pkgutil.iter_modules(there.__path__):
        if info.name not in RUN_NOT_IMPORTED:
            module = importlib.import_module(f"{dotted}.{info.name}")
            assert getattr(there, info.name) is module


def test_every_argument_of_a_public_function_is_annotated() -> None:
    bare = [f"{path.relative_to(ROOT)}:{line} {name}" for path in FILES for line, name in _unannotated(path)]
    assert bare == []


def _unannotated(path: Path) -> list[tuple[int, str]]:
    """The arguments without a type, of public functions and methods and of constructors."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    functions = [node for top in [tree, *classes] for node in top.body if isinstance(node, ast.FunctionDef)]
    return [
        (function.lineno, f"{function.name}({argument.arg})")
        for function in functions
        if not function.name.startswith("_") or function.name in ("__init__", "__call__")
        for argument in [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        if argument.annotation is None and argument.arg not in ("self", "cls")
    ]


def test_every_path_that_the_readme_names_is_there() -> None:
    paths = re.findall(r"`(lorabook(?:\.\w+)+)`", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(paths) > 20
    for path in paths:
        pkgutil.resolve_name(path)
