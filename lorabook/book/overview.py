"""What the start page shows, as Markdown: the chapters, the state of this environment, the ledger of all claims."""

import re
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import nbformat

from lorabook.book import doctor
from lorabook.book.chapters import chapters
from lorabook.book.ledger import checked, place
from lorabook.claims.claim import Claim

TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
QUESTION = re.compile(r"^> \*\*(.+?)\*\*", re.MULTILINE)
NEEDS = re.compile(r"^\| time \| you need \| it builds on \|\n.*\n\| (.+) \| (.+) \| (.+) \|$", re.MULTILINE)
MARK = {doctor.OK: "✓", doctor.NOTE: "○", doctor.PROBLEM: "✗"}


def contents(folder: Path) -> str:
    """Return the table of chapters, the start page left out: a link, the question, the time, what it builds on.

    Raises:
        ValueError: the first cell of a chapter lacks one of them.
    """
    rows = []
    for name in chapters(folder):
        if name.startswith("00_"):
            continue
        head = nbformat.read(folder / f"{name}.ipynb", as_version=4).cells[0].source
        title, question, needs = (pattern.search(head) for pattern in (TITLE, QUESTION, NEEDS))
        if not (title and question and needs):
            raise ValueError(
                f"{name}: the first cell needs `# title`, `> **question**` and a table with the columns "
                "`time | you need | it builds on`"
            )
        rows.append((f"[{title[1]}]({name}.ipynb)", question[1], *needs.groups()))
    return _table(("chapter", "the question", "time", "you need", "it builds on"), rows)


def environment() -> str:
    """Return what `lorabook doctor` looked at, with its verdicts; paths stay out of it."""
    findings = list(doctor.examine())
    rows = []
    for finding in findings:
        advice = finding.advice.replace(sys.executable, "python") if finding.verdict == doctor.PROBLEM else ""
        if finding.verdict != doctor.OK:
            rows.append((MARK[finding.verdict], finding.what, advice))
    good = sum(f.verdict == doctor.OK for f in findings)
    head = f"✓ {good} of {len(findings)} things are as they should be."
    return head + ("\n\n" + _table(("", "also looked at", "what to do"), rows) if rows else "")


def ledger(claims: Iterable[Claim]) -> tuple[str, int]:
    """Compute both sides of every claim; return the table by variant, and how many were not reproduced."""
    counts: dict[str, Counter] = {}
    for claim in claims:
        line = checked(claim)
        counts.setdefault(claim.about, Counter())[line["kind"] if line["reproduced"] else "not reproduced"] += 1
    columns = ("holds", "holds if", "false", "not reproduced")
    rows = [(about, *(str(counts[about][c] or "·") for c in columns)) for about in sorted(counts, key=place)]
    total = {column: sum(count[column] for count in counts.values()) for column in columns}
    rows.append(("**all**", *(f"**{total[column]}**" for column in columns)))
    head = ("about", "hold", "hold if", "often said, and false", "not reproduced")
    return _table(head, rows), total["not reproduced"]


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
