"""A pytest plugin: a skip must say until when it may last, so that no test is lost in silence."""

import re
from collections.abc import Iterator
from datetime import date

import pytest

UNTIL = re.compile(r"until:(\d{4})-(\d{2})\b")


def why_refused(reason: str, today: date) -> str | None:
    """None when the reason of a skip names a month that has not passed; otherwise what is wrong with it."""
    end = UNTIL.search(reason)
    if end is None:
        return f"skipped without an end ({reason}): say why and until when, as in 'no CUDA device; until:2027-06'"
    if (int(end[1]), int(end[2])) < (today.year, today.month):
        return f"this skip has expired ({reason}): make the test run, or say why it waits longer"
    return None


def _refuse(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    problem = why_refused(reason, date.today())
    if problem:
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: {problem}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    report = yield
    _refuse(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    report = yield
    _refuse(report)
    return report
