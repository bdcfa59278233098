"""Every command of `lorabook` that a text tells its reader to type is one: the command line's own parser reads it."""

import re
import shlex
from pathlib import Path

import pytest

from lorabook.book.chapters import find_chapter
from lorabook.book.cli import parser
from lorabook.models.paths import notebooks_dir

ROOT = Path(__file__).parents[1]
TYPED = re.compile(r"`(lorabook [a-z][^`]*)`")
TEXTS = [
    ROOT / "README.md", ROOT / "data" / "README.md", *sorted(notebooks_dir().glob("*.md")),
    *sorted(notebooks_dir().glob("src/*.py")), *sorted((ROOT / "lorabook").rglob("*.py")),
]  # fmt: skip


def typed() -> list[tuple[str, str]]:
    """Return every command with the file that it is in; what stands for a value of the reader's stands there."""
    found = {
        (str(path.relative_to(ROOT)), " ".join(command.split()))
        for path in TEXTS
        for command in TYPED.findall(path.read_text(encoding="utf-8"))
    }
    # A command in an f-string, or one that trails off, is whole only when it is printed.
    return sorted(one for one in found if not set("{…") & set(one[1]))


COMMANDS = typed()


def test_there_are_commands_to_read() -> None:
    assert len(COMMANDS) > 60
    assert len({command.split()[1] for _, command in COMMANDS}) > 10


@pytest.mark.parametrize(("file", "command"), COMMANDS, ids=[f"{command} in {file}" for file, command in COMMANDS])
def test_a_command_that_a_text_names_can_be_typed(file: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(command)[1:]
    try:
        options = parser().parse_args(words)
    except SystemExit as end:
        status = end.code
    else:
        assert words[0] != "lab" or not options.chapter or find_chapter(options.chapter, notebooks_dir())
        return
    # A text may name a command without what it needs: `lorabook classroom grade` trusts nobody.
    assert status == 0 or "the following arguments are required" in capsys.readouterr().err
