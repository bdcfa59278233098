"""What the start page shows: the chapters, the state of this environment, the ledger of all claims."""

import sys
from collections import Counter
from collections.abc import Sequence

from tqdm.auto import tqdm

from lorabook.arena.answers import read
from lorabook.arena.record import Record
from lorabook.book import chapters, doctor
from lorabook.book.ledger import checked, place
from lorabook.book.shown import Shown, table
from lorabook.claims.claim import Claim
from lorabook.claims.discovery import discover
from lorabook.models.paths import notebooks_dir

MARK = {doctor.OK: "✓", doctor.NOTE: "○", doctor.PROBLEM: "✗"}


def contents() -> Shown:
    """Return the table of the book's chapters."""
    return Shown(chapters.contents(notebooks_dir()))


def questions() -> Shown:
    """Return the nine questions that the arena was run for, each with its verdict; the numbers behind it fold open."""
    found = read(Record().folder).questions
    rows = [f"| {n} | {each.question} | **{each.verdict}** |" for n, each in enumerate(found, start=1)]
    told = [f"{n}. {each.says}" for n, each in enumerate(found, start=1)]
    folded = "\n".join(["", "<details><summary>The numbers</summary>", "", *told, "", "</details>"])
    return Shown("\n".join(["| | question | answer |", "| --: | --- | --- |", *rows]) + "\n" + folded)


def environment() -> Shown:
    """Return what `lorabook doctor` looked at, with its verdicts; paths stay out of it."""
    findings = list(doctor.examine())
    rows = []
    for finding in findings:
        if finding.verdict != doctor.OK:
            rows.append((MARK[finding.verdict], finding.what, finding.advice.replace(sys.executable, "python")))
    good = sum(f.verdict == doctor.OK for f in findings)
    head = f"✓ {good} of {len(findings)} things are as they should be."
    return Shown(head + ("\n\n" + table(("", "also looked at", "what to do"), rows).text if rows else ""))


def ledger(claims: Sequence[Claim] = ()) -> Shown:
    """Compute both sides of every claim, or of those given; return the verdicts, counted by variant."""
    counts: dict[str, Counter] = {}
    for claim in tqdm(claims or discover(), desc="claims"):
        line = checked(claim)
        counts.setdefault(claim.about, Counter())[line["kind"] if line["reproduced"] else "not reproduced"] += 1
    columns = ("holds", "holds if", "false", "not reproduced")
    rows = [(about, *(str(counts[about][c] or "·") for c in columns)) for about in sorted(counts, key=place)]
    total = {column: sum(count[column] for count in counts.values()) for column in columns}
    rows.append(("**all**", *(f"**{total[column]}**" for column in columns)))
    return table(("about", "hold", "hold if", "often said, and false", "not reproduced"), rows)
