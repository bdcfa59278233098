"""What every chapter may call: the axes, folds, verdicts, tables, diagrams; and the list of chapters."""

import html
import re
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest
import torch
from nbformat.v4 import new_markdown_cell, new_notebook

from lorabook.book import chapters
from lorabook.book.explore.axis_map import axis_map, axis_strip
from lorabook.book.figures.gallery import diagram
from lorabook.book.landscape import DECIDES, axes, variants
from lorabook.book.prose import unfolded
from lorabook.book.shown import fold, table, verdicts
from lorabook.claims.card import card
from lorabook.claims.catalogue import catalogue
from lorabook.claims.claim import claim
from lorabook.claims.low_rank import spectrum, truncation
from lorabook.claims.runner import ClaimNotReproduced
from lorabook.core.lora import ORIGIN
from lorabook.core.recipe import IDEAS

ABOUT = "arithmetic of a test"
HEAD = "# {}\n\n> **Why?**\n\n| minutes | tier | axis | teaches | you need |\n| --- | --- | --- | --- | --- |\n{}"


def test_a_stressed_word_is_set_so_on_a_card_and_a_product_is_not() -> None:
    @claim(statement="The *latest* two: $a*b*c < 3$.", source="a test")
    def stressed(_case: object) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.ones(1), torch.ones(1)

    bundle = card(stressed)._repr_mimebundle_()
    assert "The <em>latest</em> two: $a*b*c &lt; 3$." in bundle["text/html"]
    assert "> The *latest* two: $a*b*c < 3$." in bundle["text/markdown"]


def test_the_map_shows_every_variant_on_every_axis_it_moves() -> None:
    names = {name for recipes in catalogue().values() for name in recipes}
    assert set(variants()) == names
    assert next(iter(variants())) == "LoRA"
    for axis in axes():
        movers = {recipe.label for recipe in variants().values() if axis.field in recipe.changes(ORIGIN)}
        assert axis.field == "many" or set(axis.movers) == movers
    assert set(DECIDES) == set(IDEAS) - {"also_train"} | {"many"}
    shown = axis_map()
    for axis in axes():
        for words in (axis.name, axis.decides, *axis.movers):
            assert words in shown.text
            assert html.escape(words) in shown.page


def test_the_strip_lights_one_axis_and_refuses_what_is_none() -> None:
    shown = axis_strip("scale")
    assert "**scale: how large the update is; in LoRA α/r**" in shown.text
    assert shown.page.count("font-weight:600") == shown.text.count("**") / 2 == 1
    assert all(name in shown.text for name, *_ in DECIDES.values())
    with pytest.raises(ValueError, match="'rank' is no axis; the axes are form, init"):
        axis_strip("rank")


def test_pages_of_the_axes_are_whole_and_shrink_no_letter() -> None:
    for shown in (axis_map(), axis_strip("form")):
        page = ElementTree.fromstring(shown.page)
        sizes = [float(size) for size in re.findall(r"font-size:([\d.]+)px", shown.page)]
        assert page.tag == "div"
        assert min(sizes) >= 11


def test_a_fold_verifies_its_cards_and_shows_one_line() -> None:
    claims = (truncation.truncation_error_is_the_tail, spectrum.false_dimension_is_rank)
    shown = fold("What else is said", *claims)._repr_mimebundle_()
    for text in (shown["text/markdown"], shown["text/html"]):
        assert unfolded(text) == ""
        assert "<summary>What else is said (2 cards)</summary>" in text
        assert "truncation error is the tail" in text
        assert "OFTEN SAID, AND FALSE" in text

    @claim(statement="1 = 2", source="none")
    def one_is_two(case):
        return torch.ones(1), 2 * torch.ones(1)

    with pytest.raises(ClaimNotReproduced):
        fold("Nonsense", one_is_two)


def test_verdicts_and_tables_are_sentences_and_columns() -> None:
    assert verdicts({"One is one": True, "One is two": False}).text == "- One is one: **yes**\n- One is two: **no**"
    lines = table(("name", "rank"), [("A", 1), ("B", 2)]).text.splitlines()
    assert lines == ["| name | rank |", "| --- | --: |", "| A | 1 |", "| B | 2 |"]


def test_a_diagram_goes_by_its_name() -> None:
    assert "image/svg+xml" in diagram("overview_low_rank")._repr_mimebundle_()
    with pytest.raises(LookupError, match="no diagram 'low'; there are adalora"):
        diagram("low")


def test_the_start_page_lists_chapters_by_their_heads(tmp_path: Path) -> None:
    text = HEAD.format("07 · A title", "| 25 | short | form | LoRA-FA | chapter 02 |\n\nMore.")
    nbformat.write(new_notebook(cells=[new_markdown_cell(text)]), tmp_path / "07_a.ipynb")
    nbformat.write(new_notebook(), tmp_path / "00_start.ipynb")
    assert chapters.contents(tmp_path).splitlines()[2:] == ["| [07 · A title](07_a.ipynb) | Why? | form | 25 | short |"]
    assert "(there/07_a.ipynb)" in chapters.contents(tmp_path, "there/")
    cell = new_markdown_cell(text.replace("> ", ""))
    nbformat.write(new_notebook(cells=[cell]), tmp_path / "07_a.ipynb")
    with pytest.raises(ValueError, match="07_a: the first cell starts '# 07 · A title"):
        chapters.contents(tmp_path)


def test_a_variant_opens_the_chapter_whose_head_names_it(tmp_path: Path) -> None:
    for name, teaches in (("02_lora", "LoRA"), ("10_qlora", "QLoRA, QDoRA"), ("06_lora_plus", "LoRA+")):
        cell = new_markdown_cell(HEAD.format(name, f"| 45 | core | · | {teaches} | · |"))
        nbformat.write(new_notebook(cells=[cell]), tmp_path / f"{name}.ipynb")
    (tmp_path / "99_mine.ipynb").write_text("{", encoding="utf-8")
    for wanted, found in (("qdora", "10_qlora"), ("LoRA+", "06_lora_plus"), ("lora", "02_lora"), ("mine", "99_mine")):
        assert chapters.find_chapter(wanted, tmp_path) == found
