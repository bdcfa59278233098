"""The gallery: what is checked in is what the code draws, each variant has its picture, and every picture can be read."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from lorabook import style
from lorabook.claims import discover
from lorabook.cli import main
from lorabook.figures.diagrams import overview_choice
from lorabook.figures.drawing import Drawing
from lorabook.figures.gallery import gallery

FOLDER = Path(__file__).parents[1] / "figures"
SVG = "{http://www.w3.org/2000/svg}"
DRAWN = {name: draw() for name, draw in gallery().items()}


@pytest.mark.parametrize("name", DRAWN)
def test_the_file_is_what_the_code_draws(name: str) -> None:
    file = FOLDER / f"{name}.svg"
    assert file.is_file(), "run `lorabook figures` and commit what it draws"
    assert file.read_text(encoding="utf-8") == DRAWN[name].svg(), "run `lorabook figures`, look, and commit"


def test_no_file_is_left_over() -> None:
    assert {file.stem for file in FOLDER.glob("*.svg")} == set(DRAWN)


def test_every_variant_with_claims_has_a_picture() -> None:
    about = {claim.about for claim in discover()} & set(style.VARIANTS)
    named = {title.sentence.partition(":")[0] for title in DRAWN.values()}
    assert about <= named, f"no diagram's title begins with {sorted(about - named)}"


def test_the_flow_chart_asks_only_for_what_is_there() -> None:
    about = {claim.about for claim in discover()}
    wanted = {name for choice in overview_choice.CHOICES for name in choice.take}
    assert wanted <= about


@pytest.mark.parametrize("name", DRAWN)
def test_every_word_lies_on_the_page(name: str) -> None:
    drawing = DRAWN[name]
    words = list(ElementTree.fromstring(drawing.svg()).iter(f"{SVG}text"))
    assert words
    for word in words:
        em = 0.57 if word.get("font-weight") else 0.5  # the mean width of a letter, in units of its height
        x, y, wide = float(word.get("x")), float(word.get("y")), em * float(word.get("font-size")) * len(word.text)
        left = {"start": x, "middle": x - wide / 2, "end": x - wide}[word.get("text-anchor")]
        assert 0 <= left and left + wide <= drawing.width and 0 < y < drawing.height, word.text


@pytest.mark.parametrize("name", DRAWN)
def test_every_colour_is_the_languages_own_and_has_a_light_and_a_dark_value(name: str) -> None:
    svg = DRAWN[name].svg()
    light, dark = svg.split("@media(prefers-color-scheme:dark)")
    for said in set(re.findall(r'class="([\w-]+)"', svg)):
        assert f".{said}{{" in light.partition("<style>")[2], said
        assert f".{said}{{" in dark.partition("</style>")[0], said
    assert not re.search(r'(fill|stroke)="#', svg)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figures", "--out", str(tmp_path / "none")]) == 2
    assert "make it first" in capsys.readouterr().err


def test_words_are_escaped() -> None:
    drawing = Drawing("a < b & c")
    assert ElementTree.fromstring(drawing.svg()).find(f"{SVG}title").text == "a < b & c"
