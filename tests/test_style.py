"""The one visual language: every variant is told apart, text is readable, and JavaScript hears the same."""

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


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2.1."""

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
    said = json.loads(style.as_json())
    assert said["roles"]["false"]["dash"] == "dash"
    assert said["variants"]["LoRA"]["light"] == style.TRAINABLE.light
    assert f"export const STYLE = {style.as_json()}".split("export ")[1] in bundle("memory")


def test_a_figure_belongs_to_no_pyplot_state() -> None:
    figure = style.figure()
    style.axes(figure, "a message", "x (unit)", "y (unit)")
    assert figure.patch.get_alpha() == 0
    script = "import sys; from lorabook.book import style; style.figure(); sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
