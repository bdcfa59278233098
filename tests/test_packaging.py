"""What a stranger gets: a whole wheel, an environment that matches, a README whose commands are what CI runs."""

import hashlib
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from lorabook.models import paths

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TOP_LEVEL = {
    "pyproject.toml",
    "environment.yml",
    "README.md",
    "LICENSE",
    "lorabook",
    "notebooks",
    "tests",
    "data",
    "figures",
}
CONDA_NAMES = {"pytorch": "torch", "matplotlib-base": "matplotlib"}
PIP_ONLY = {"dp-accounting"}
DATA_MB = 16
IMPORT_SECONDS = 0.3


def requirements(lines: list[str]) -> dict[str, str]:
    return {requirement.name: str(requirement.specifier) for requirement in map(Requirement, lines)}


def readme_commands() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return [block.strip() for block in re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)]


def test_the_top_level_holds_the_named_entries_only() -> None:
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith((".", "__pycache__"))}
    assert found - TOP_LEVEL <= {"build", "dist", "lorabook.egg-info"}


def test_conda_and_pip_ask_for_the_same() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    plain = [entry for entry in environment["dependencies"] if isinstance(entry, str) and entry != "pip"]
    conda = requirements(plain)
    assert conda.pop("python") == PROJECT["requires-python"]
    pip = requirements(PROJECT["dependencies"])
    assert pip.keys() >= PIP_ONLY
    assert {CONDA_NAMES.get(name, name): range_ for name, range_ in conda.items()} == {
        name: range_ for name, range_ in pip.items() if name not in PIP_ONLY
    }
    assert [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)] == [["-e ."]]


def test_torch_is_a_range_and_test_tools_are_pinned() -> None:
    assert "==" not in requirements(PROJECT["dependencies"])["torch"]
    for name, range_ in requirements(PROJECT["optional-dependencies"]["test"]).items():
        assert re.fullmatch(r"==[\d.]+", range_), f"{name}{range_}"


def test_the_installed_versions_are_those_asked_for() -> None:
    from importlib.metadata import version

    asked = requirements(PROJECT["dependencies"]) | requirements(PROJECT["optional-dependencies"]["test"])
    wrong = {
        name: version(name)
        for name, range_ in asked.items()
        if not Requirement(f"{name}{range_}").specifier.contains(Version(version(name)).public)
    }
    assert wrong == {}


def test_the_readme_has_two_commands_of_one_line_that_set_everything_up() -> None:
    commands = readme_commands()
    assert [len(command.splitlines()) for command in commands] == [1, 1]
    book, tests = commands
    assert book.endswith(".venv/bin/lorabook lab")
    assert tests.endswith(".venv/bin/pytest")
    assert "apt-get install" in tests
    pinned = requirements(PROJECT["dependencies"])["torch"]
    for command in commands:
        assert "python3 -m venv .venv" in command
        torch = re.search(r"pip install \S*\s?torch==([\d.]+) &&", command)
        assert torch, "torch is installed first and alone"
        assert Requirement(f"torch{pinned}").specifier.contains(torch[1])
        for extra in re.findall(r"\.\[([\w,]+)\]", command):
            assert set(extra.split(",")) <= set(PROJECT["optional-dependencies"])


def test_ci_runs_the_readmes_commands() -> None:
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert "README.md" in script
    for command in readme_commands():
        assert command not in script, "CI reads the commands from the README and keeps no copy"


def shipped_data() -> dict[str, Path]:
    """Return every file of data/ by its path below it, but for what makes data again and a sweep's lock."""
    files = {path.relative_to(paths.data_dir()): path for path in paths.data_dir().rglob("*") if path.is_file()}
    return {name.as_posix(): path for name, path in files.items() if name.parts[0] != "make" and name.name != ".lock"}


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built and unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    code = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, str(folder)], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


def test_the_wheel_holds_code_views_data_and_chapters_and_no_tests(unpacked: Path) -> None:
    names = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    kinds = (".py", ".js", ".css", ".json", ".txt")
    tracked = [path for path in (ROOT / "lorabook").rglob("*") if path.suffix in kinds]
    assert {path.relative_to(ROOT).as_posix() for path in tracked} <= names
    assert {f"lorabook/shipped/data/{name}" for name in shipped_data()} <= names
    assert not [name for name in names if "/make/" in name], "what makes data again is for checkouts"
    assert {f"lorabook/shipped/notebooks/{path.name}" for path in paths.notebooks_dir().glob("*.ipynb")} <= names
    for shared in ("lab/settings/overrides.d/lorabook.json", "labextensions/lorabook/static/extension.js"):
        assert any(name.endswith(f"share/jupyter/{shared}") for name in names)
    assert not [name for name in names if name.startswith("tests") or "__pycache__" in name]


def test_the_installed_package_finds_its_data_and_chapters(unpacked: Path, tmp_path: Path) -> None:
    code = (
        "import json; from lorabook.book import lab; from lorabook.models import paths; "
        "print(json.dumps([paths.in_checkout(), paths.data_file('tokenizer.json').is_file(), str(lab.book_folder())]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(unpacked), "PATH": "/usr/bin:/bin"},
    )
    assert json.loads(done.stdout.splitlines()[-1]) == [False, True, str(tmp_path / "lorabook-notebooks")]
    assert "your copy of the notebooks" in done.stdout
    copied = {path.name for path in (tmp_path / "lorabook-notebooks").iterdir()}
    pages = paths.notebooks_dir().glob("*.md")
    assert copied == {path.name for path in (*paths.notebooks_dir().glob("*.ipynb"), *pages)} | {"editions.json"}


def test_every_data_file_is_listed_with_its_hash_and_all_are_small() -> None:
    listed = dict(
        reversed(line.split(maxsplit=1))
        for line in paths.data_file("SHA256SUMS").read_text(encoding="utf-8").splitlines()
    )
    files = shipped_data()
    assert sum(path.stat().st_size for path in files.values()) < DATA_MB * 1e6
    # The arena's record grows whenever a reader sweeps: `lorabook arena --check` says whether its rows are right.
    unlisted = ("SHA256SUMS", "README.md", "recorded/arena/")
    hashed = {name: path for name, path in files.items() if not name.startswith(unlisted)}
    actual = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in hashed.items()}
    without = " ".join(f"-e {name}" for name in (*unlisted, "make/"))
    assert listed == actual, f"in data/: sha256sum $(git ls-files | grep -v {without}) > SHA256SUMS"


def test_importing_lorabook_costs_little_beyond_torch_and_loads_no_widgets() -> None:
    code = (
        "import sys, time, torch; start = time.process_time(); import lorabook; "
        "[getattr(lorabook, name) for name in lorabook.__all__]; "
        "print(time.process_time() - start, [name for name in ('IPython', 'anywidget', 'ipywidgets', 'plotly', "
        "'matplotlib', 'transformers', 'jupyterlab') if name in sys.modules])"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split(
            maxsplit=1
        )
        for _ in range(3)
    ]
    assert runs[0][1].strip() == "[]"
    assert min(float(seconds) for seconds, _ in runs) <= IMPORT_SECONDS


def test_a_name_is_imported_when_it_is_used_so_that_the_command_answers_before_torch_is_loaded() -> None:
    code = "import sys, lorabook; before = 'torch' in sys.modules; lorabook.LoRA; print(before, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
