"""A diagram of the book as an SVG: what is drawn has a role, and the role brings its colour and dash."""

import base64
import html
from collections.abc import Sequence

from lorabook.book.figures import style_sheet
from lorabook.claims import svg
from lorabook.claims.svg import Paint, Point

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"


class Drawing:
    """A page of `width` × `height` pixels whose title is `sentence`: the one message of the picture.

    Coordinates are in pixels, y downwards. `role` is a name in `style.ROLES`, or text, quiet or grid;
    on-<role> is the colour for words on top of a role,
    and hue-0 … hue-4 are colours without a meaning, for parts of a sum.
    """

    def __init__(self, sentence: str, width: int = 760, height: int = 320) -> None:
        self.sentence, self.width, self.height = sentence, width, height
        self._parts: list[str] = []
        self.text(24, 34, sentence, size=17, anchor="start", bold=True)

    def rect(self, x: float, y: float, width: float, height: float, role: str, *, faint: float = 1.0) -> None:
        """Draw a filled rectangle; `faint` is its opacity. A quantised one has the dot grid over it."""
        opacity = {} if faint == 1.0 else {"fill-opacity": f"{faint:.2g}"}
        self._parts.append(svg.rect(x, y, width, height, {"rx": "1.5", "class": role, **opacity}))
        if role == "quantised":
            self._parts.append(svg.rect(x, y, width, height, {"rx": "1.5", "fill": "url(#dots)"}))

    def frame(self, x: float, y: float, width: float, height: float, role: str, *, line: float = 1.5) -> None:
        """Draw the outline of a rectangle, in the role's own dash."""
        self._parts.append(svg.rect(x, y, width, height, {"rx": "4", **_stroke(role, line)}))

    def text(
        self, x: float, y: float, words: str, *, size: float = 13, anchor: str = "middle", role: str = "text",
        bold: bool = False,
    ) -> None:  # fmt: skip
        """Write words with their baseline at (x, y); what stands in _{…} is lower and smaller, in ^{…} higher."""
        weight = {"font-weight": "600"} if bold else {}
        self._parts.append(svg.text(x, y, words, size, {"text-anchor": anchor, "class": role, **weight}))

    def heading(self, x: float, y: float, words: str, *, anchor: str = "start") -> None:
        """Write the name of a part of the page: what the reader looks for first."""
        self.text(x, y, words, size=12, anchor=anchor, bold=True)

    def note(self, x: float, y: float, words: str, *, anchor: str = "middle") -> None:
        """Write small and quiet words: sizes, ticks, asides."""
        self.text(x, y, words, size=11, anchor=anchor, role="quiet")

    def line(self, points: Sequence[Point], role: str, *, width: float = 1.5) -> None:
        """Draw a line through points, in the role's own dash."""
        self._parts.append(svg.polyline(points, _stroke(role, width)))

    def arrow(self, *points: Point) -> None:
        """Draw how data flow: a quiet line through points, with a head at the last."""
        self._parts.append(svg.polyline(points, {**_stroke("quiet", 1.5), "marker-end": "url(#head)"}))

    def area(self, points: Sequence[Point], role: str) -> None:
        """Fill the polygon with these corners."""
        self._parts.append(svg.polygon(points, {"class": role}))

    def dot(self, x: float, y: float, role: str, *, size: float = 4) -> None:
        """Draw a filled circle."""
        self._parts.append(svg.circle(x, y, size, {"class": role}))

    def svg(self) -> str:
        """Return the file."""
        label = svg.plain(self.sentence)
        ground = svg.rect(0, 0, self.width, self.height, {"rx": "10", "class": "ground"})
        parts = [svg.title(label), style_sheet.STYLE, style_sheet.DEFINITIONS, ground, *self._parts]
        return svg.picture(self.width, self.height, label, parts, {"font-family": FONT}) + "\n"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        # As an image in a page it shrinks with a narrow window; what Lab makes of a bare SVG is cut off.
        svg64 = base64.b64encode(self.svg().encode()).decode()
        image = f'<img style="max-width:100%" alt="{html.escape(svg.plain(self.sentence))}"'
        page = f'{image} src="data:image/svg+xml;base64,{svg64}">'
        return {"text/plain": self.sentence, "text/html": page, "image/svg+xml": self.svg()}


def _stroke(role: str, width: float) -> Paint:
    return {"class": f"line-{role}", "stroke-width": f"{width:g}"}
