"""The gallery: what is checked in is what the code draws, each variant has its picture, every picture can be read."""

import re
import xml.etree.ElementTree as ElementTree
from itertools import combinations
from pathlib import Path

import pytest
import torch

from lorabook.arena.answers import read
from lorabook.arena.record import Record
from lorabook.book import style
from lorabook.book.cli import main
from lorabook.book.figures.blocks import Scale, block, pair
from lorabook.book.figures.cells import mask
from lorabook.book.figures.diagrams import overview_arena, overview_axes, overview_choice, overview_comparison
from lorabook.book.figures.drawing import Drawing
from lorabook.book.figures.gallery import gallery
from lorabook.book.landscape import axes
from lorabook.book.listing import example
from lorabook.claims.catalogue import catalogue
from lorabook.claims.discovery import discover, folders
from lorabook.claims.svg import plain
from lorabook.core.lora import ORIGIN

FOLDER = Path(__file__).parents[1] / "figures"
SVG = "{http://www.w3.org/2000/svg}"
DRAWN = {name: draw() for name, draw in gallery().items()}
HEADED = {drawing.sentence.partition(":")[0] for drawing in DRAWN.values()}
UNPICTURED = {"head", "bottleneck", "LoRA r=2", "LoRA r=32", "LoKr factor=8", "QLoRA | rsLoRA | LoRA+"} | {
    "LoRA on attention", "LoRA on MLP"
}  # fmt: skip
"""A trained output head is what every comparison has; the others are the arena's names for what has its picture."""


@pytest.mark.parametrize("name", DRAWN)
def test_the_file_is_what_the_code_draws(name: str) -> None:
    file = FOLDER / f"{name}.svg"
    assert file.is_file(), "run `lorabook figures` and commit what it draws"
    assert file.read_text(encoding="utf-8") == DRAWN[name].svg(), "run `lorabook figures`, look, and commit"


def test_no_file_is_left_over() -> None:
    assert {file.stem for file in FOLDER.glob("*.svg")} == set(DRAWN)


def test_every_variant_has_a_picture() -> None:
    missing = set(style.VARIANTS) - UNPICTURED - HEADED
    assert not missing, f"no diagram's title begins with {sorted(missing)}"


def test_every_recipe_has_a_picture() -> None:
    labels = {example(make).label for recipes in catalogue().values() for make in recipes.values()}
    assert labels <= HEADED, f"no diagram's title begins with {sorted(labels - HEADED)}"


def test_every_variant_is_in_the_landscape_or_stands_beside_it() -> None:
    placed = {name for axis in axes() for name in overview_axes.movers(axis)}
    beside = {name for name, folder in folders().items() if getattr(folder, "AXIS", "") == "baselines"}
    assert set(style.VARIANTS) - UNPICTURED - {"LoRA"} <= placed | beside


def test_every_recipe_is_in_the_comparison_once() -> None:
    labels = {example(make).label for recipes in catalogue().values() for make in recipes.values()}
    rows = list(overview_comparison.in_order())
    assert labels <= set(rows)
    assert len(rows) == len(set(rows))


@pytest.mark.parametrize("name", ["LoRA", "DoRA", "LoHa", "LoRA-FA", "LoKr", "VeRA", "MELoRA", "MultiLoRA", "PiSSA"])
def test_what_the_comparison_says_is_trained_is_what_the_form_counts(name: str) -> None:
    recipe, d = overview_comparison.in_order()[name], overview_comparison.D
    row = overview_comparison.measured(recipe)
    assert row.trained == recipe.complete(ORIGIN).form.count(d, d, overview_comparison.RANK)


def test_the_flow_chart_asks_only_for_what_is_there() -> None:
    about = {claim.about for claim in discover()}
    variants = {name for choice in overview_choice.CHOICES for name in choice.take} | set(overview_choice.PROMISE)
    assert variants <= about


def test_the_flow_chart_and_the_arena_write_what_the_record_says() -> None:
    for each in read(Record().folder).comparisons:
        if each.budget == "equal" and each.method in overview_choice.PROMISE:
            assert f"{each.difference:+.3f}" in overview_choice.draw().svg()
    found = [each for each in read(Record().folder).comparisons if each.budget == "equal"]
    better = {each.method for each in found if each.says == "better"}
    assert f"At equal parameters {len(better)} of " in overview_arena.draw().svg()


def words_of(drawing: Drawing) -> list[tuple[str, float, float, float, float]]:
    """Return every word of a drawing with its left, right, top and bottom, by the mean width of a letter."""
    words = []
    for text in ElementTree.fromstring(drawing.svg()).iter(f"{SVG}text"):
        em, letters = 0.57 if text.get("font-weight") else 0.5, "".join(text.itertext())
        x, y, size = (float(text.get(name)) for name in ("x", "y", "font-size"))
        wide = em * size * len(letters)
        left = {"start": x, "middle": x - wide / 2, "end": x - wide}[text.get("text-anchor")]
        words.append((letters, left, left + wide, y - 0.72 * size, y + 0.2 * size))
    return words


@pytest.mark.parametrize("name", DRAWN)
def test_every_word_lies_on_the_page(name: str) -> None:
    drawing = DRAWN[name]
    words = words_of(drawing)
    assert words
    for word, left, right, top, bottom in words:
        assert 0 <= left < right <= drawing.width, word
        assert 0 < top < bottom < drawing.height, word


@pytest.mark.parametrize("name", DRAWN)
def test_no_two_words_overlap(name: str) -> None:
    for (one, *a), (other, *b) in combinations(words_of(DRAWN[name]), 2):
        across, down = min(a[1], b[1]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[2], b[2])
        assert across <= 1 or down <= 1, f"{one!r} and {other!r} overlap by {across:.0f} × {down:.0f} pixels"


@pytest.mark.parametrize("name", DRAWN)
def test_every_colour_is_the_languages_own_and_has_a_light_and_a_dark_value(name: str) -> None:
    svg = DRAWN[name].svg()
    light, dark = svg.split("@media(prefers-color-scheme:dark)")
    for role in set(re.findall(r'class="([\w-]+)"', svg)):
        assert f".{role}{{" in light.partition("<style>")[2], role
        assert f".{role}{{" in dark.partition("</style>")[0], role
    assert not re.search(r'(fill|stroke)="#', svg)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figures", "--out", str(tmp_path / "none")]) == 2
    assert "make it first" in capsys.readouterr().err


def test_words_are_escaped() -> None:
    drawing = Drawing("a < b & c")
    assert ElementTree.fromstring(drawing.svg()).find(f"{SVG}title").text == "a < b & c"


def test_what_is_lower_is_marked_up_and_what_follows_comes_back() -> None:
    drawing = Drawing("plain")
    drawing.text(0, 0, "d_{in} + x^{2}y", size=10)
    word = list(ElementTree.fromstring(drawing.svg()).iter(f"{SVG}text"))[-1]
    assert "".join(word.itertext()) == plain("d_{in} + x^{2}y") == "din + x2y"
    shifts = [float(span.get("dy")) for span in word]
    assert shifts[0] > 0 > shifts[1]
    assert sum(shifts) == pytest.approx(0, abs=1e-9)


def test_last_digits_do_not_reach_the_file() -> None:
    exact, noisy = Drawing("a half"), Drawing("a half")
    exact.dot(575.25, 0.05, "text")
    noisy.dot(575.25 - 1e-7, 0.05 + 1e-7, "text")
    assert exact.svg() == noisy.svg()


def boxes(drawing: Drawing) -> list[tuple[str, ...]]:
    """Return role, x, y, width and height of every rectangle but the ground."""
    rects = list(ElementTree.fromstring(drawing.svg()).iter(f"{SVG}rect"))[1:]
    return [tuple(rect.get(name) for name in ("class", "x", "y", "width", "height")) for rect in rects]


def test_a_block_is_to_scale_and_centred_on_its_line() -> None:
    drawing = Drawing("a block")
    box = block(drawing, (4, 6), 10, 50, 2, "frozen", name="W")
    assert boxes(drawing) == [("frozen", "10", "46", "12", "8")]
    assert (box.right, box.bottom, box.middle) == (22, 54, (16, 50))
    assert words_of(drawing)[-1][0] == "W"


def test_a_pair_shows_the_ranks_in_use_and_the_rest_behind_them() -> None:
    drawing, scale = Drawing("a pair"), Scale(rank=2, d_out=1, d_in=3, gap=5)
    pair(drawing, (20, 4), (4, 10), 0, 50, scale, "trainable", used=1, rest="grid")
    behind, used = [("grid", "0", "40", "8", "20"), ("grid", "13", "46", "30", "8")], boxes(drawing)[2:]
    assert boxes(drawing)[:2] == behind
    assert used == [("trainable", "0", "40", "2", "20"), ("trainable", "13", "46", "30", "2")]
    whole = Drawing("a pair")
    pair(whole, (20, 4), (4, 10), 0, 50, scale, "frozen")
    assert boxes(whole) == [("frozen", *place) for _, *place in behind]


def test_a_mask_draws_the_cells_that_are_shown_and_fills_those_that_are_seen() -> None:
    drawing, lower = Drawing("a mask"), torch.ones(2, 2).tril().bool()
    mask(drawing, torch.eye(2).bool(), lower, 0, 40, 10, "trainable")
    assert [box[0] for box in boxes(drawing)] == ["trainable", "grid", "trainable"]
    assert [box[1:3] for box in boxes(drawing)] == [("0", "40"), ("0", "50"), ("10", "50")]
