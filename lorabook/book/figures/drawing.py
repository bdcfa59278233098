"""An SVG that says what it shows: the book's roles as classes, a light and a dark ground, the same bytes every time."""

import html
import re
from collections.abc import Sequence

from lorabook.book import style

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
GROUNDS = ("#ffffff", "#12161c")
"""A diagram brings its own ground, light or dark as the reader's system is, so that no page can make it unreadable."""


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
        place = f'x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}"'
        opacity = "" if faint == 1.0 else f' fill-opacity="{faint:.2g}"'
        self._parts.append(f'<rect {place} rx="1.5" class="{role}"{opacity}/>')
        if role == "quantised":
            self._parts.append(f'<rect {place} rx="1.5" fill="url(#dots)"/>')

    def frame(self, x: float, y: float, width: float, height: float, role: str, *, line: float = 1.5) -> None:
        """Draw the outline of a rectangle, in the role's own dash."""
        place = f'x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}"'
        self._parts.append(f'<rect {place} rx="4" class="line-{role}" stroke-width="{line:g}"/>')

    def text(
        self, x: float, y: float, words: str, *, size: float = 13, anchor: str = "middle", role: str = "text",
        bold: bool = False,
    ) -> None:  # fmt: skip
        """Write words with their baseline at (x, y); what stands in _{…} is lower and smaller, in ^{…} higher."""
        weight = ' font-weight="600"' if bold else ""
        self._parts.append(
            f'<text x="{_n(x)}" y="{_n(y)}" font-size="{size:g}" text-anchor="{anchor}" class="{role}"{weight}>'
            f"{_lowered(words, size)}</text>"
        )

    def line(
        self, points: Sequence[tuple[float, float]], role: str, *, width: float = 1.5, arrow: bool = False
    ) -> None:
        """Draw a line through points, in the role's own dash, perhaps with an arrow head at its end."""
        path = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
        head = ' marker-end="url(#head)"' if arrow else ""
        self._parts.append(f'<polyline points="{path}" class="line-{role}" stroke-width="{width:g}"{head}/>')

    def area(self, points: Sequence[tuple[float, float]], role: str) -> None:
        """Fill the polygon with these corners."""
        path = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
        self._parts.append(f'<polygon points="{path}" class="{role}"/>')

    def dot(self, x: float, y: float, role: str, *, size: float = 4) -> None:
        """Draw a filled circle."""
        self._parts.append(f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{size:g}" class="{role}"/>')

    def svg(self) -> str:
        """Return the file."""
        label = html.escape(plain(self.sentence), quote=True)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}" '
            f'height="{self.height}" role="img" aria-label="{label}" font-family="{FONT}">\n<title>{label}</title>\n'
            f"{_LANGUAGE}\n"
            f'<rect width="{self.width}" height="{self.height}" rx="10" class="ground"/>\n'
            + "\n".join(self._parts)
            + "\n</svg>\n"
        )

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        return {"text/plain": self.sentence, "image/svg+xml": self.svg()}


_SHIFTED = re.compile(r"([_^])\{([^}]*)\}")


def plain(words: str) -> str:
    """Return words without the marks of what is lower or higher."""
    return _SHIFTED.sub(r"\2", words)


def _lowered(words: str, size: float) -> str:
    """Return the markup of words; a shift is taken back by what follows it."""
    made, back = "", 0.0
    pieces = _SHIFTED.split(words)
    for said, mark, low in zip(pieces[::3], [*pieces[1::3], ""], [*pieces[2::3], ""], strict=True):
        if said:
            made += html.escape(said) if not back else f'<tspan dy="{_n(back)}">{html.escape(said)}</tspan>'
            back = 0.0
        if mark:
            down = round(0.22 * size if mark == "_" else -0.34 * size, 1)
            shift = f' dy="{_n(back + down)}"'
            made += f'<tspan{shift} font-size="{_n(0.74 * size)}">{html.escape(low)}</tspan>'
            back = -down
    return made


def _n(number: float) -> str:
    """A coordinate to a tenth of a pixel: no last digits reach the file, not even of a half, which goes up."""
    return f"{round(number + 1e-5, 1) + 0.0:g}"


_DASHES = {"solid": "", "dash": "stroke-dasharray:6 4;", "dot": "stroke-dasharray:1.5 4;stroke-linecap:round;"}


def _rules(side: str, ground: style.Ground, paper: str) -> str:
    rules = [f".ground{{fill:{paper}}}.on{{fill:{paper}}}"]
    words = {"text": ground.text, "quiet": ground.quiet, "grid": ground.grid}
    for name, colour in words.items():
        rules.append(f".{name}{{fill:{colour}}}.line-{name}{{stroke:{colour};fill:none}}")
    for name, role in style.ROLES.items():
        colour, dash = getattr(role, side), _DASHES[role.dash]
        rules.append(f".{name}{{fill:{colour}}}.line-{name}{{stroke:{colour};fill:none;{dash}}}")
        # Orange, pale blue and vermilion are light on both grounds: what is written on them is dark.
        ink = paper if name in ("frozen", "quantised") else style.LIGHT.text
        rules.append(f".on-{name}{{fill:{ink}}}")
    for place, hues in enumerate(style.OKABE_ITO):
        colour = hues[side == "dark"]
        rules.append(f".hue-{place}{{fill:{colour}}}.line-hue-{place}{{stroke:{colour};fill:none}}")
    return "".join(rules)


_LANGUAGE = (
    f"<style>{_rules('light', style.LIGHT, GROUNDS[0])}"
    f"@media(prefers-color-scheme:dark){{{_rules('dark', style.DARK, GROUNDS[1])}}}</style>\n"
    '<defs><pattern id="dots" width="5" height="5" patternUnits="userSpaceOnUse">'
    '<circle cx="2.5" cy="2.5" r="1" class="on"/></pattern>'
    '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0 8 4 0 8z" class="quiet"/></marker></defs>'
)
