"""Advice in messages: where the library gives code to run instead, and how a case follows it to the letter."""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import lorabook

PACKAGE = Path(lorabook.__file__).parent
ROOMS = ("core", "axes", "many", "baselines", "saving", "models", "tasks", "cost")
CODE = re.compile(r"[A-Za-z_][\w.]*\([^()]*\)|\b[a-z_]+=[\w'\"(\[-]")
"""A call, or a keyword with its value: what a reader can copy into Python."""

COMMAND = re.compile(r"`((?:lorabook|pip|python) [^`]+)`")
"""A command of a shell."""


@dataclass(frozen=True)
class Advice:
    """A message of the library with code in it: where it is written, and a pattern that fits what is raised."""

    where: str
    text: str

    @property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(".*?".join(re.escape(part) for part in self.text.split("\0")), re.DOTALL)


def written() -> list[Advice]:
    """Return every message with code in it that these rooms of the library hold, found in the source."""
    return [advice for advice in _messages() if CODE.search(COMMAND.sub("", advice.text))]


def commands() -> list[tuple[str, str]]:
    """Return (where, command) of every command that a message of these rooms gives."""
    return [(advice.where, command) for advice in _messages() for command in COMMAND.findall(advice.text)]


def _messages() -> Iterator[Advice]:
    for room in ROOMS:
        for file in sorted((PACKAGE / room).rglob("*.py")):
            yield from _in(file)


def _in(file: Path) -> Iterator[Advice]:
    tree = ast.parse(file.read_text())
    passed_by = {id(part) for node in ast.walk(tree) for part in _no_messages(node)}
    for node in ast.walk(tree):
        if id(node) not in passed_by and isinstance(node, (ast.JoinedStr, ast.Constant)):
            text = _text(node)
            if len(text.split()) >= 4:
                yield Advice(f"{file.relative_to(PACKAGE)}:{node.lineno}", text)


def _no_messages(node: ast.AST) -> Iterator[ast.AST]:
    """Give docstrings, what is inside f-strings, and what a repr says."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        yield node.value
    if isinstance(node, ast.JoinedStr):
        yield from (part for part in ast.walk(node) if part is not node)
    if isinstance(node, ast.FunctionDef) and node.name in ("__repr__", "extra_repr"):
        yield from ast.walk(node)


def _text(node: ast.JoinedStr | ast.Constant) -> str:
    """Return the words, with a NUL where a value goes."""
    if isinstance(node, ast.Constant):
        return re.sub(r"\{\d[^{}]*\}", "\0", node.value) if isinstance(node.value, str) else ""
    return "".join(part.value if isinstance(part, ast.Constant) else "\0" for part in node.values)


TOLD: list[str] = []
"""Every message that a case has met and obeyed."""


def told(error: type[Exception], fault: Callable[[], object]) -> str:
    """Return the message of a fault."""
    with pytest.raises(error) as info:
        fault()
    return str(info.value)


def obey(message: str, advice: str, **names: object) -> object:
    """Run a piece of a message as it stands there, and return its value (None if it is a statement)."""
    assert advice in message, message
    TOLD.append(message)
    space = {"lb": lorabook, "lorabook": lorabook, **names}
    try:
        code = compile(advice, "<advice>", "eval")
    except SyntaxError:
        exec(compile(advice, "<advice>", "exec"), space)
        return None
    return eval(code, space)


def options(message: str, advice: str, **names: object) -> dict[str, object]:
    """Return the keywords of a piece of a message, as in “inject with dropout=0”."""
    return obey(message, advice, **names) if advice.startswith("dict(") else _keywords(message, advice, names)


def _keywords(message: str, advice: str, names: dict[str, object]) -> dict[str, object]:
    assert advice in message, message
    TOLD.append(message)
    return eval(f"dict({advice})", {"lb": lorabook, **names})
