"""The measure of a chapter: what is counted, and that each number is found when it alone is too large."""

from collections.abc import Sequence

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from lorabook.book import head
from lorabook.book.measure import FIXED, Measure, heading_faults, measure
from lorabook.book.tiers import CORE, SHORT, Tier

EXPLORERS = {"spectrum": 4, "training_explorer": 5}


def the_head(tier: Tier, minutes: int | None = None) -> str:
    table = "| minutes | tier | axis | teaches | you need |\n| --- | --- | --- | --- | --- |\n"
    return f"# 99 · A title\n\n> **Why?**\n\n{table}| {minutes or tier.minutes} | {tier.name} | · | · | nothing |"


def shown(text: str) -> NotebookNode:
    return new_output("display_data", {"text/markdown": text})


def an_exercise(minutes: int = 5) -> NotebookNode:
    return new_code_cell("book.show(one.EXERCISE)", outputs=[shown(f"**One** — about {minutes} minutes")])


def a_chapter(*cells: NotebookNode, tier: Tier = CORE, minutes: int | None = None) -> NotebookNode:
    headings = new_markdown_cell("\n\n".join(f"## {fixed}" for fixed in FIXED))
    return new_notebook(cells=[new_markdown_cell(the_head(tier, minutes)), headings, *cells])


def measured(
    *cells: NotebookNode, tier: Tier = CORE, minutes: int | None = None, seconds: float | None = None
) -> Measure:
    return measure(a_chapter(*cells, tier=tier, minutes=minutes), EXPLORERS, seconds)


def over(found: Measure) -> set[str]:
    return {line.what for line in found.lines() if line.over}


def cards(*names: str) -> NotebookNode:
    return new_code_cell("\n".join(f"book.card(claims.{name})" for name in names))


EMPTY = measured().counts.words
"""The words of a head and the five headings."""


@pytest.mark.parametrize("tier", [CORE, SHORT], ids=lambda tier: tier.name)
def test_each_number_is_found_when_it_alone_is_too_large(tier: Tier) -> None:
    lines = "\n".join(f"x = {i}" for i in range(tier.code_lines + 1))
    imports = "\n".join(f"import a{i}" for i in range(tier.import_lines + 1))
    many = {
        "words of prose": [new_markdown_cell("word " * (tier.words - EMPTY + 1))],
        "visible code lines": [new_code_cell(lines)],
        "import lines": [new_code_cell(imports)],
        "cards in the text": [cards(*(f"c{i}" for i in range(tier.cards + 1)))],
        "misconceptions among them": [cards(*(f"false_{i}" for i in range(tier.misconceptions + 1)))],
        "explorers": [new_code_cell("book.spectrum(x)\n" * (tier.explorers + 1))],
        "controls seen at once": [new_code_cell("book.training_explorer()")],
        "exercises": [an_exercise() for _ in range(tier.exercises + 1)],
        "minute of the first explorer": [
            new_markdown_cell("word " * 200),
            new_code_cell("x = 1\n" * 35),
            new_code_cell("book.spectrum(x)"),
        ],
    }
    for what, cells in many.items():
        assert over(measured(*cells, tier=tier)) == {what}
        assert over(measured(*cells[:-1], tier=tier)) == set(), f"{what}: one fewer is allowed"
    assert over(measured(tier=tier, seconds=tier.seconds + 1)) == {"running seconds"}
    assert over(measured(tier=tier, minutes=tier.minutes + 1)) == {"minutes stated"}
    assert over(measured(an_exercise(tier.minutes), tier=tier)) == {"minutes"}


def test_minutes_are_the_sum_of_what_is_read_run_and_solved() -> None:
    before = measured(seconds=0).minutes
    cells = [
        new_markdown_cell("word " * 300),
        new_code_cell("x = 1\n\n" * 15, outputs=[new_output("stream", name="stdout", text="word " * 400)]),
        new_code_cell("book.card(claims.a)", outputs=[shown("word " * 999)]),
        new_code_cell("book.spectrum(x)", outputs=[shown("word " * 999)]),
        an_exercise(7),
    ]
    # The three calls are three lines of code.
    assert measured(*cells, seconds=90).minutes - before == pytest.approx(2 + 1 + 2 + 1 + 5 + 7 + 3 / 15 + 1.5)
    assert measured().minutes - before == pytest.approx(CORE.seconds / 60), "not run: its tier's"


def test_what_is_folded_costs_nothing_and_is_still_there() -> None:
    collapsed = new_markdown_cell("## Further")
    collapsed.metadata["jp-MarkdownHeadingCollapsed"] = True
    hidden = new_code_cell("x = 1\n" * 99 + "book.card(claims.b)")
    hidden.metadata["jupyter"] = {"source_hidden": True, "outputs_hidden": True}
    cells = [
        new_markdown_cell("<details><summary>Answers</summary>\n\n" + "word " * 999 + "\n\n</details>"),
        new_code_cell("book.a()", outputs=[shown("<details>" + "word " * 999 + "</details>")]),
        hidden,
        collapsed,
        new_markdown_cell("word " * 999),
        new_markdown_cell("### Deeper\n" + "word " * 999),
        new_code_cell("import c\nx = 1\n" * 99 + "book.card(claims.c)\nbook.fold('title', claims.d, claims.false_e)"),
    ]
    found = measured(*cells)
    assert found.counts.words == EMPTY + 1, "the heading of a folded section is seen"
    assert found.counts.code_lines == 1
    assert found.counts.cards == ()
    assert set(found.counts.folded_cards) == {"b", "c", "d", "false_e"}
    assert found.counts.import_lines == 99, "what a fold imports is imported all the same"
    assert measured(*cells, new_markdown_cell("## Open again\n\nword")).counts.words == EMPTY + 4


def test_a_source_that_is_hidden_shows_its_card_all_the_same() -> None:
    cell = cards("a")
    cell.metadata["jupyter"] = {"source_hidden": True}
    assert measured(cell).counts.cards == ("a",)
    assert measured(cell).counts.code_lines == 0


def test_words_are_those_that_are_read() -> None:
    text = "A [link](https://a.b/c d) and $x + y + z$ and `code`.\n\n| a | b |\n| --- | --- |\n\n```\nn = 1\n```\n---\n"
    assert measured(new_markdown_cell(text)).counts.words - EMPTY == len("A link and formula and code a b".split())


def test_imports_are_lines_wherever_they_stand() -> None:
    text = "from a import (\n    b,\n    c,\n)\ndef f():\n    import d\n%time f()"
    found = measured(new_code_cell(text)).counts
    assert (found.import_lines, found.code_lines) == (5, 2)


def test_an_exercise_without_minutes_is_no_exercise() -> None:
    with pytest.raises(ValueError, match="1 exercises are shown and 0 say"):
        measured(new_code_cell("book.show(one.EXERCISE)", outputs=[shown("**One**")]))


@pytest.mark.parametrize(
    ("found", "faults"),
    [
        (FIXED, []),
        (["Predict", "A free one", "See it", "Why", "Measured", "When", "Exercises"], []),
        (["1 · Predict", *FIXED[1:]], ["heading '1 · Predict': write 'Predict'", "no heading Predict"]),
        (["Predict", "Why", "See it", "Measured", "Exercises"], ["the headings Predict, Why, See it, Measured, Exer"]),
        (["predict", "Exercises too"], ["heading 'predict'", "heading 'Exercises too'", "no heading Predict"]),
    ],
)
def test_five_headings_are_the_books(found: Sequence[str], faults: list[str]) -> None:
    told = heading_faults(found, every=True)
    assert len(told) == len(faults)
    assert all(fault.startswith(start) for fault, start in zip(told, faults, strict=True))


def test_a_short_chapter_needs_no_heading() -> None:
    assert heading_faults([], every=False) == []
    bare = new_notebook(cells=[new_markdown_cell(the_head(SHORT))])
    assert measure(bare, EXPLORERS).faults() == []
    bare.cells[0].source = the_head(CORE)
    assert measure(bare, EXPLORERS).faults() == [f"no heading {', '.join(FIXED)}"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (the_head(CORE).replace("> **Why?**", "> Why?"), "needs `# title`"),
        (the_head(CORE).replace("| minutes |", "| time |"), "needs `# title`"),
        (the_head(CORE).replace("core", "long"), "the tier 'long'; expected a whole number, and one of core, short"),
        (the_head(CORE).replace("| 45 |", "| 30–40 |"), "says '30–40' minutes"),
    ],
)
def test_a_head_says_all_it_must(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        head.head_of(text)
