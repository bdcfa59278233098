"""The one SVG writer: what it writes can be read, the same picture is the same bytes, and nobody else writes markup."""

import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import lorabook
from lorabook.book import style
from lorabook.book.figures.chips import lines, wrapped
from lorabook.claims import sides, svg
from lorabook.claims.claim import Claim
from lorabook.claims.runner import Verdict

SVG = "{http://www.w3.org/2000/svg}"


def test_only_the_writer_writes_elements() -> None:
    package = Path(lorabook.__file__).parent
    elements = re.compile(r"<(svg|rect|circle|line|polyline|polygon|path|text|tspan|g|defs|marker|pattern)\b[^>]*[=>]")
    writers = [file for file in package.rglob("*.py") if elements.search(file.read_text(encoding="utf-8"))]
    assert [file.relative_to(package).as_posix() for file in writers] == []


def test_what_is_written_is_what_is_read() -> None:
    label = 'a < b & "c" > d, it\'s'
    parts = [svg.title(label), svg.text(1, 2, label, 12, {"class": label}), svg.rect(0.04, 0.05, 1 / 3, 2, {})]
    picture = ElementTree.fromstring(svg.picture(10, 20, label, parts, {"font-family": "'Segoe UI', sans-serif"}))
    assert picture.get("aria-label") == picture.find(f"{SVG}title").text == label
    assert picture.find(f"{SVG}text").text == picture.find(f"{SVG}text").get("class") == label
    assert picture.find(f"{SVG}rect").attrib == {"x": "0", "y": "0.1", "width": "0.3", "height": "2"}
    assert (picture.get("viewBox"), picture.get("font-family")) == ("0 0 10 20", "'Segoe UI', sans-serif")


@pytest.mark.parametrize(("value", "text"), [(575.25, "575.3"), (575.25 - 1e-7, "575.3"), (-0.01, "0"), (1e-9, "0")])
def test_a_coordinate_has_no_last_digits_and_no_signed_zero(value: float, text: str) -> None:
    assert svg.number(value) == text


def test_chips_keep_to_their_width_and_a_name_that_is_too_long_has_a_line_of_its_own() -> None:
    names = ["LoRA", "DoRA", "a name much longer than the line", "QLoRA"]
    chips = wrapped(names, 10, 110, letter=7, gap=5)
    assert [chip.name for chip in chips] == names
    assert [chip.line for chip in chips] == [0, 0, 1, 2]
    assert all(chip.x >= 10 and (chip.x + chip.width <= 110 or len(chip.name) > 12) for chip in chips)
    assert chips[1].x == chips[0].x + chips[0].width + 5
    assert (lines(chips), lines([])) == (3, 1)


CLAIM = Claim(lambda case: case, "statement", "source", "=", 0.0, (), "")


def picture_of(*pair: torch.Tensor) -> ElementTree.Element | None:
    """Return the picture that a card shows of two sides, or None if it shows none."""
    markup = sides.sides_svg(Verdict(CLAIM, (0.0,), pair))
    return ElementTree.fromstring(markup) if markup else None


def squares_of(picture: ElementTree.Element) -> Counter[str]:
    """Return how many squares there are of each paint."""
    counts: Counter[str] = Counter()
    for path in picture.iter(f"{SVG}path"):
        counts[path.get("stroke")] += path.get("d").count("M")
    return counts


def test_the_sides_of_a_claim_are_grids_blue_below_zero_and_orange_above() -> None:
    picture = picture_of(torch.tensor([[-2.0, 1.0]]), torch.tensor([[-2.0, float("nan")]]))
    paths = [path.attrib for path in picture.iter(f"{SVG}path")]
    square = {"stroke-width": "10"}
    assert paths[0] == {"d": "M0 23h10M98 23h10", "stroke": f"{sides.NEGATIVE}ff", **square}
    assert paths[1] == {"d": "M12 23h10", "stroke": f"{sides.POSITIVE}66", **square}
    assert paths[2]["stroke"] == sides.NOT_FINITE
    assert paths[2]["d"] == "M110 23h10M208 23h10"
    assert paths[3] == {"d": "M196 23h10", "stroke": sides.NONE, **square}
    assert [word.text for word in picture.iter(f"{SVG}text")] == ["left side", "right side", "difference"]
    assert picture.get("aria-label").endswith(": the two sides and their difference")


def test_what_rounding_leaves_between_two_sides_is_not_drawn() -> None:
    left = torch.tensor([[1.5, -2.0, 3.0]])
    noise = torch.tensor([[1e-6, -1e-6, 0.0]])
    one, other = (sides.sides_svg(Verdict(CLAIM, (0.0,), (left, left + sign * noise))) for sign in (1, -1))
    assert one == other
    assert squares_of(ElementTree.fromstring(one))[sides.NONE] == 3


def test_a_card_draws_no_picture_of_a_number_and_cuts_what_is_large() -> None:
    assert picture_of(torch.tensor(1.0), torch.tensor(1.0)) is None
    cells = squares_of(picture_of(torch.ones(40, 40), torch.ones(40, 40)))
    assert cells == {f"{sides.POSITIVE}ff": 2 * sides.LARGEST**2, sides.NONE: sides.LARGEST**2}


def test_the_picture_of_a_misconception_shows_where_its_sides_differ_and_magnifies_what_is_faint() -> None:
    left = torch.ones(20, 20)
    far, faint = left.clone(), left.clone()
    far[15, 18], faint[2, 3] = -1.0, 1.004
    false = replace(CLAIM, misconception_of=CLAIM)

    def drawn(claim: Claim, right: torch.Tensor) -> ElementTree.Element:
        return ElementTree.fromstring(sides.sides_svg(Verdict(claim, (1.0,), (left, right))))

    assert squares_of(drawn(CLAIM, far))[f"{sides.NEGATIVE}ff"] == 0, "a claim that holds shows its first corner"
    assert squares_of(drawn(false, far))[f"{sides.NEGATIVE}ff"] == 1
    titles = [word.text for word in drawn(false, faint).iter(f"{SVG}text")]
    assert titles[-1] == "difference × 100"
    assert squares_of(drawn(false, faint))[f"{sides.NEGATIVE}66"] == 1
    assert squares_of(drawn(CLAIM, faint))[sides.NONE] == sides.LARGEST**2


def test_a_card_has_the_books_colours() -> None:
    palette = [light for light, _ in style.OKABE_ITO]
    assert sides.POSITIVE == style.TRAINABLE.light
    assert sides.NEGATIVE == palette[1]
    assert sides.NOT_FINITE == style.FALSE.light
    assert sides.NONE.startswith(style.FROZEN.light)
