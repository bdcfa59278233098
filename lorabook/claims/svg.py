"""SVG as text: the only place of the library where its elements are written. The same picture is the same bytes.

It lies with the claims because their cards draw too, and imports run downwards only: the book's diagrams and its map of
the axes import it from above. What a colour means is not said here: whoever draws hands over a `Paint`.
"""

import html
import re
from collections.abc import Mapping, Sequence

Paint = Mapping[str, str]
"""Attributes that say how an element looks, by SVG's own names: fill, class, stroke-width. Their order is kept."""

Point = tuple[float, float]


def number(value: float) -> str:
    """Return a coordinate to a tenth of a pixel: no last digits reach the file, not even of a half, which goes up."""
    return f"{round(value + 1e-5, 1) + 0.0:g}"


def element(name: str, attributes: Paint, *inside: str) -> str:
    """Return one element; its attributes are escaped, what is `inside` is markup already."""
    opening = name + "".join(f' {key}="{_quoted(value)}"' for key, value in attributes.items())
    return f"<{opening}>{''.join(inside)}</{name}>" if inside else f"<{opening}/>"


def rect(x: float, y: float, width: float, height: float, paint: Paint) -> str:
    """Return a rectangle with its upper left corner at (x, y)."""
    sides = {"x": number(x), "y": number(y), "width": number(width), "height": number(height)}
    return element("rect", {**sides, **paint})


def squares(corners: Sequence[Point], side: float, paint: Paint) -> str:
    """Return squares of one stroke, each with its upper left corner at one of the points, as one element.

    Each is a line as wide as it is long, the shortest way to write one.
    """
    lines = "".join(f"M{number(x)} {number(y + side / 2)}h{number(side)}" for x, y in corners)
    return element("path", {"d": lines, "stroke-width": number(side), **paint})


def circle(x: float, y: float, radius: float, paint: Paint) -> str:
    """Return a circle around (x, y)."""
    return element("circle", {"cx": number(x), "cy": number(y), "r": f"{radius:g}", **paint})


def polyline(points: Sequence[Point], paint: Paint) -> str:
    """Return a line through the points."""
    return element("polyline", {"points": _joined(points), **paint})


def polygon(points: Sequence[Point], paint: Paint) -> str:
    """Return the polygon with these corners."""
    return element("polygon", {"points": _joined(points), **paint})


def text(x: float, y: float, words: str, size: float, paint: Paint) -> str:
    """Return words with their baseline at (x, y); what stands in _{…} is lower and smaller, in ^{…} higher."""
    return element("text", {"x": number(x), "y": number(y), "font-size": f"{size:g}", **paint}, _shifted(words, size))


def title(words: str) -> str:
    """Return the name of a picture, which a browser shows under the pointer."""
    return element("title", {}, html.escape(words))


def group(x: float, y: float, parts: Sequence[str]) -> str:
    """Return parts that are drawn as if (x, y) were their origin."""
    return element("g", {"transform": f"translate({number(x)},{number(y)})"}, *parts)


def picture(width: float, height: float, label: str, parts: Sequence[str], paint: Paint) -> str:
    """Return the whole: `width` × `height` pixels, with the label that a screen reader says in the picture's place."""
    wide, high = number(width), number(height)
    frame = {
        "xmlns": "http://www.w3.org/2000/svg",
        "viewBox": f"0 0 {wide} {high}",
        "width": wide,
        "height": high,
        "role": "img",
        "aria-label": label,
    }
    return element("svg", {**frame, **paint}, "\n", "\n".join(parts), "\n")


def plain(words: str) -> str:
    """Return words without the marks of what is lower or higher."""
    return _SHIFT.sub(r"\2", words)


_SHIFT = re.compile(r"([_^])\{([^}]*)\}")


def _shifted(words: str, size: float) -> str:
    """Return the markup of words; a shift is taken back by what follows it."""
    markup, back = "", 0.0
    pieces = _SHIFT.split(words)
    for level, mark, small in zip(pieces[::3], [*pieces[1::3], ""], [*pieces[2::3], ""], strict=True):
        if level:
            markup += html.escape(level) if not back else element("tspan", {"dy": number(back)}, html.escape(level))
            back = 0.0
        if mark:
            down = round(0.22 * size if mark == "_" else -0.34 * size, 1)
            attributes = {"dy": number(back + down), "font-size": number(0.74 * size)}
            markup += element("tspan", attributes, html.escape(small))
            back = -down
    return markup


def _quoted(value: str) -> str:
    """Return what may stand between double quotes; a single one is left, as lists of fonts are full of them."""
    return html.escape(value, quote=False).replace('"', "&quot;")


def _joined(points: Sequence[Point]) -> str:
    return " ".join(f"{number(x)},{number(y)}" for x, y in points)
