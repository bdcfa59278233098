"""A pytest plugin beside nbval: compare the text of outputs on both sides, and count what was compared.

A stored notebook keeps text only, while a cell that runs also shows pictures and widgets, so nbval alone would call
each of them unexpected. Both sides go through the same `text_only`, which is also what built the stored one.
Use: `python -m pytest -p nbval_text --nbval --nbval-current-env NOTEBOOK`, with this folder on PYTHONPATH.
"""

import pytest
from nbval.plugin import IPyNbCell

from lorabook.book.outputs import text_only

COMPARED = pytest.StashKey[dict[str, int]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[COMPARED] = {}


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give every notebook cell a comparison of the texts only."""
    if not isinstance(item, IPyNbCell):
        return
    counts = item.config.stash[COMPARED]
    notebook = item.path.name
    counts.setdefault(notebook, 0)
    compare_all = item.compare_outputs

    def compare_text(test: list, stored: list) -> bool:
        kept = text_only(stored)
        counts[notebook] += len(kept)
        return compare_all(text_only(test), kept)

    item.compare_outputs = compare_text


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for notebook, count in config.stash[COMPARED].items():
        terminalreporter.write_line(f"{notebook}: {count} stored outputs compared")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A notebook of which nothing was compared is a failure, even when every cell ran."""
    empty = [notebook for notebook, count in session.config.stash[COMPARED].items() if not count]
    if empty and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
