"""A skip without a reason and an end date fails the run, so that no test is lost in silence."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from skip_rule import why_refused

Run = Callable[[str], pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a test file's text under the rule, in a process of its own."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))

    def run_text(text: str) -> pytest.RunResult:
        pytester.makepyfile(text)
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "skip_rule")

    return run_text


SKIPS = """
import pytest
@pytest.mark.skip(reason="no device")
def test_without_an_end(): pass
@pytest.mark.skip(reason="no device; until:2001-01")
def test_past_its_end(): pass
@pytest.mark.skip(reason="no device; until:2999-12")
def test_with_an_end_to_come(): pass
def test_inside(): pytest.skip("later")
@pytest.mark.xfail(reason="known")
def test_expected_to_fail(): raise ValueError
"""


def test_only_a_skip_with_an_end_to_come_is_a_skip(run: Run) -> None:
    result = run(SKIPS)
    result.assert_outcomes(errors=2, failed=1, skipped=1, xfailed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*say why and until when*until:2027-06*"])


def test_a_module_skipped_while_collecting_counts_too(run: Run) -> None:
    result = run("import pytest\npytest.importorskip('no_such_module_anywhere')\n")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*skipped without an end*"])


def test_the_month_named_is_the_last_one_that_counts() -> None:
    assert why_refused("x until:2027-06", date(2027, 6, 30)) is None
    assert "expired" in why_refused("x until:2027-06", date(2027, 7, 1))
