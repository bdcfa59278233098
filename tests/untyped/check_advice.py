"""Every “do this instead” that is code: the fault is made, the words of its message are run, and then it works."""

import inspect
import shlex
import tomllib

import advice_core
import advice_many
import advice_rest
import pytest
from advice import PACKAGE, TOLD, commands, written

from lorabook.book.cli import parser

# Of the libraries that the faults come from: what they mean to do away with, and what the fault is itself.
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:Specified to not save vera_A:UserWarning"),
]

CASES = [case for module in (advice_core, advice_many, advice_rest) for case in module.CASES]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__.removeprefix("case_"))
def test_it_works(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    case(*([tmp_path] if inspect.signature(case).parameters else []))


def test_every_advice_is_followed_by_a_case(tmp_path_factory, monkeypatch):
    if not TOLD:
        for case in CASES:
            test_it_works(case, tmp_path_factory.mktemp("advice"), monkeypatch)
    left = [f"{advice.where}: {advice.text}" for advice in written() if not any(map(advice.pattern.search, TOLD))]
    assert not left, "no case follows this advice; add one to tests/untyped/advice_*.py:\n" + "\n".join(left)


@pytest.mark.parametrize(("where", "command"), commands())
def test_every_command_is_one(where, command):
    """Ours is parsed by our own parser; what pip is to install is what this project itself declares."""
    program, *words = shlex.split(command)
    if program == "lorabook":
        parser().parse_args(words)
        return
    assert (program, words[0]) == ("pip", "install"), where
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for name in (word for word in words[1:] if not word.startswith("-")):
        ours, _, extra = name.partition("[")
        assert extra.rstrip("]") in extras if ours == project["name"] else name.partition("=")[0] in str(extras), where
