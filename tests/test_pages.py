"""The pages beside the chapters: every work that the book cites is in the bibliography, every symbol is used."""

import re
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from lorabook.book.measure import measure
from lorabook.book.measure_report import explorers
from lorabook.book.prose import headings
from lorabook.claims.discovery import discover
from lorabook.models.paths import notebooks_dir

ROOT = Path(__file__).resolve().parents[1]
NUMBER = re.compile(r"(?<![\d.])\d{4}\.\d{5}(?!\d)")
BIBLIOGRAPHY = (notebooks_dir() / "bibliography.md").read_text(encoding="utf-8")
SYMBOLS = (notebooks_dir() / "symbols.md").read_text(encoding="utf-8")
SOURCES = [
    *(ROOT / "lorabook").rglob("*.py"),
    *(ROOT / "notebooks" / "src").glob("*.py"),
    ROOT / "README.md",
    ROOT / "data" / "README.md",
]


def cited() -> dict[str, str]:
    """Return the numbers that the book cites, each with a file that does."""
    return {number: path.name for path in SOURCES for number in NUMBER.findall(path.read_text(encoding="utf-8"))}


def test_every_work_that_is_cited_is_in_the_bibliography_and_no_other():
    listed = re.findall(r"\[(\d{4}\.\d{5})\]\(https://arxiv\.org/abs/(\d{4}\.\d{5})\)", BIBLIOGRAPHY)
    assert all(number == address for number, address in listed)
    assert len(listed) == len(set(listed)), "a work is listed twice"
    numbers, used = {number for number, _ in listed}, cited()
    assert not {number: where for number, where in used.items() if number not in numbers}, "cited, and not listed"
    assert not numbers - set(used), "listed, and cited nowhere"


def test_a_year_is_not_before_its_number():
    for year, number in re.findall(r" (\d{4})\. \*.*\[(\d{4}\.\d{5})\]", BIBLIOGRAPHY):
        assert int(year) == 2000 + int(number[:2]), f"{number} is of 20{number[:2]}, not of {year}"


def rows(page: str) -> list[list[str]]:
    """Return the cells of every row of the tables of a page, without the heads."""
    lines = [line for line in page.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    dashes = [i for i, row in enumerate(cells) if set(row[0]) == {"-"}]
    return [row for i, row in enumerate(cells) if i not in dashes and i + 1 not in dashes]


def test_the_tables_of_symbols_are_whole_and_say_nothing_twice():
    table = rows(SYMBOLS)
    assert all(len(row) in (2, 3) and all(row[0::2]) and row[-1] for row in table)
    names = [row[0] for row in table]
    assert len(names) == len(set(names))
    terms = [row[0] for row in table if len(row) == 2]
    assert terms == sorted(terms)


@pytest.mark.parametrize("symbol", re.findall(r"\$([^$]+)\$", " ".join(r[0] for r in rows(SYMBOLS) if len(r) == 3)))
def test_a_symbol_stands_in_a_claim_or_a_chapter(symbol):
    texts = [claim.statement for claim in discover()]
    texts += [path.read_text(encoding="utf-8") for path in (ROOT / "notebooks" / "src").glob("*.py")]
    assert any(symbol.split("\\cdot")[0] in text for text in texts), f"{symbol} is listed and used nowhere"


PATHS = (notebooks_dir() / "paths.md").read_text(encoding="utf-8")
END = "the end"


def parts() -> list[tuple[str, str, int]]:
    """Return each row of the paths: the notebook that it links to, the heading before which it stops, its minutes."""
    rows = re.findall(r"^\| \[[^]]+\]\((\S+)\.ipynb\) \| ([^|]+) \| (\d+) \|$", PATHS, re.MULTILINE)
    return [(name, until, int(minutes)) for name, until, minutes in rows]


def read_until(name: str, until: str) -> float:
    """Return the minutes that a chapter takes as far as a heading of level 2; all that its head states, to its end."""
    notebook = nbformat.read(notebooks_dir() / f"{name}.ipynb", as_version=4)
    if until == END:
        return measure(notebook, explorers()).head.minutes
    (stop,) = [
        i
        for i, cell in enumerate(notebook.cells)
        if cell.cell_type == "markdown"
        and any(heading.level == 2 and heading.text == until for heading in headings(cell.source))
    ]
    return measure(NotebookNode(cells=notebook.cells[:stop]), explorers()).counts.reading


@pytest.mark.parametrize(("name", "until", "minutes"), sorted(set(parts())))
def test_a_part_of_a_path_takes_the_minutes_that_it_states(name, until, minutes):
    assert minutes - 1 <= read_until(name, until) <= minutes


def test_the_paths_take_an_hour_and_a_day():
    hour, day = (
        sum(int(m) for m in re.findall(r"\| (\d+) \|$", path, re.MULTILINE)) for path in PATHS.split("## One day")
    )
    assert hour <= 60
    assert 5 * 60 <= day <= 7 * 60
