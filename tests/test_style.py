"""The one visual language: every variant is told apart, text is readable, and JavaScript draws with the same."""

import json
import subprocess
import sys

import pytest

from lorabook.book import style
from lorabook.book.explore.bundle import bundle


def test_each_variant_has_its_own_stroke_and_nothing_is_told_by_colour_alone() -> None:
    strokes = [style.variant(name) for name in style.VARIANTS]
    for colour in ("light", "dark"):
        looks = [(getattr(stroke, colour), stroke.marker, stroke.dash) for stroke in strokes]
        assert len(set(looks)) == len(looks)
        near = zip(strokes, strokes[1:], strict=False)
        assert all(one.marker != other.marker or one.dash != other.dash for one, other in near)
    reserved = {role.light for role in (style.FALSE, style.REFERENCE, style.FROZEN, style.QUANTISED, style.RESIDUAL)}
    assert not reserved & {stroke.light for stroke in strokes}
    with pytest.raises(KeyError, match="no stroke for the variant 'LoRaX'"):
        style.variant("LoRaX")


def test_the_palette_has_places_for_variants_to_come() -> None:
    strokes = [style.stroke(place) for place in range(style.PLACES)]
    assert len(style.VARIANTS) + 30 <= style.PLACES
    for colour in ("light", "dark"):
        assert len({(getattr(stroke, colour), stroke.marker, stroke.dash) for stroke in strokes}) == style.PLACES
    near = zip(strokes, strokes[1:], strict=False)
    assert all(one.marker != other.marker or one.dash != other.dash for one, other in near)
    for place in (-1, style.PLACES):
        with pytest.raises(IndexError, match=f"place {place} is none of the palette's {style.PLACES}"):
            style.stroke(place)


def test_a_variant_keeps_the_stroke_it_has() -> None:
    looks = {name: (style.variant(name).light, style.variant(name).marker, style.variant(name).dash)
             for name in ("LoRA", "DoRA", "QLoRA", "LoHa", "LoRA-drop", "QPiSSA", "DP-DyLoRA", "stack")}  # fmt: skip
    assert looks == {
        "LoRA": ("#e69f00", "circle", "solid"),
        "DoRA": ("#009e73", "diamond", "solid"),
        "QLoRA": ("#56b4e9", "cross", "solid"),
        "LoHa": ("#e69f00", "star", "dashdot"),
        "LoRA-drop": ("#e69f00", "diamond", "solid"),
        "QPiSSA": ("#56b4e9", "circle", "solid"),
        "DP-DyLoRA": ("#e69f00", "square", "dashdot"),
        "stack": ("#56b4e9", "star", "dashdot"),
    }


def test_the_lines_of_a_plot_differ_in_colour_dash_and_marker_from_the_next() -> None:
    lines = [style.series(place) for place in range(60)]
    assert len(set(lines)) == len(lines)
    for one, other in zip(lines, lines[1:], strict=False):
        assert all(getattr(one, part) != getattr(other, part) for part in ("light", "dash", "marker"))


def test_every_dash_and_marker_has_its_name_in_matplotlib() -> None:
    assert {*style.DASHES, *(role.dash for role in style.ROLES.values())} <= style.MATPLOTLIB_DASH.keys()
    assert set(style.MARKERS) == style.MATPLOTLIB_MARKER.keys()


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of WCAG 2.1."""

    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("ground", "colours"), [("#ffffff", style.LIGHT), ("#111111", style.DARK)])
def test_text_is_readable_on_its_ground(ground: str, colours: style.Ground) -> None:
    assert contrast(colours.text, ground) > 7
    assert contrast(colours.quiet, ground) > 4.5


def test_the_language_reaches_javascript() -> None:
    language = json.loads(style.as_json())
    assert language["roles"]["false"]["dash"] == "dash"
    assert language["variants"]["LoRA"]["light"] == style.TRAINABLE.light
    assert f"export const STYLE = {style.as_json()}".split("export ")[1] in bundle("memory")


def test_a_figure_belongs_to_no_pyplot_state() -> None:
    figure = style.figure()
    style.axes(figure, "a message", "x (unit)", "y (unit)")
    assert figure.patch.get_alpha() == 0
    script = "import sys; from lorabook.book import style; style.figure(); sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
