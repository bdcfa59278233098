"""Every checkable statement of five teaching texts is settled by name: a claim, a misconception, or why it cannot be.

The texts are not ours and not here. Their statements were numbered (C<text>-<statement>) and graded; the files in
`tests/statements/` say each in our own words, with our verdict and the names that settle it.
"""

import json
from collections import Counter
from pathlib import Path

import pytest

from lorabook.claims.discovery import discover
from lorabook.claims.unchecked import unchecked

FOLDER = Path(__file__).parent / "statements"
SETTLED = {
    number: entry
    for file in sorted(FOLDER.glob("*.json"))
    for number, entry in json.loads(file.read_text(encoding="utf-8")).items()
}
STATEMENTS = {"C000": 39, "C001": 33, "C002": 31, "C003": 26, "C004": 162, "X": 12}
"""How many checkable statements each text has; X are those in which two texts contradict each other."""
CLAIMS = {claim.name: claim for claim in discover()}
OPEN = unchecked()


def test_every_statement_of_every_text_is_settled():
    assert Counter(number.partition("-")[0] for number in SETTLED) == STATEMENTS


def test_no_statement_is_settled_in_two_files():
    assert sum(len(json.loads(file.read_text(encoding="utf-8"))) for file in FOLDER.glob("*.json")) == len(SETTLED)


@pytest.mark.parametrize("number", SETTLED)
def test_the_names_exist_and_agree_with_the_verdict(number):
    entry = SETTLED[number]
    assert set(entry) == {"said", "verdict", "by"}
    assert set(entry["by"]) <= set(CLAIMS) | set(OPEN), "a name in `by` is no claim and no open statement"
    claims = [CLAIMS[name] for name in entry["by"] if name in CLAIMS]
    misconceptions, true = [c for c in claims if c.is_misconception], [c for c in claims if not c.is_misconception]
    shown = {
        "holds": bool(true),
        "holds if": any(c.when for c in true) or bool(true and misconceptions),
        "false": bool(misconceptions),
        "not checkable here": any(name in OPEN for name in entry["by"]),
    }
    assert shown[entry["verdict"]], f"{entry['verdict']}: settled by {entry['by']}"


def test_every_unchecked_statement_has_a_reason():
    for name, (_, entry) in OPEN.items():
        assert len(entry.reason) > 20, name
