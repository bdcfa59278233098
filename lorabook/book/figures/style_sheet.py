"""The style sheet inside each diagram: the book's roles as classes, on a light and on a dark ground."""

from lorabook.book import style
from lorabook.claims.svg import element

GROUNDS = ("#ffffff", "#12161c")
"""A diagram brings its own ground, light or dark as the reader's system is, so that no page can make it unreadable."""

_DASHES = {"solid": "", "dash": "stroke-dasharray:6 4;", "dot": "stroke-dasharray:1.5 4;stroke-linecap:round;"}


def _rules(side: str, ground: style.Ground, paper: str) -> str:
    """Return what each class looks like on one ground: a fill, and for line-<class> a stroke."""
    rules = [f".ground{{fill:{paper}}}.on{{fill:{paper}}}"]
    for name, colour in (("text", ground.text), ("quiet", ground.quiet), ("grid", ground.grid)):
        rules.append(_rule(name, colour))
    for name, role in style.ROLES.items():
        rules.append(_rule(name, getattr(role, side), _DASHES[role.dash]))
        # Orange, pale blue and vermilion are light on both grounds: what is written on them is dark.
        ink = paper if name in ("frozen", "quantised") else style.LIGHT.text
        rules.append(f".on-{name}{{fill:{ink}}}")
    for place, hues in enumerate(style.OKABE_ITO):
        rules.append(_rule(f"hue-{place}", hues[side == "dark"]))
    return "".join(rules)


def _rule(name: str, colour: str, dash: str = "") -> str:
    return f".{name}{{fill:{colour}}}.line-{name}{{stroke:{colour};fill:none;{dash}}}"


_ON_LIGHT, _ON_DARK = _rules("light", style.LIGHT, GROUNDS[0]), _rules("dark", style.DARK, GROUNDS[1])

STYLE = element("style", {}, _ON_LIGHT, f"@media(prefers-color-scheme:dark){{{_ON_DARK}}}")

DEFINITIONS = element(
    "defs",
    {},
    element(
        "pattern",
        {"id": "dots", "width": "5", "height": "5", "patternUnits": "userSpaceOnUse"},
        element("circle", {"cx": "2.5", "cy": "2.5", "r": "1", "class": "on"}),
    ),
    element(
        "marker",
        {"id": "head", "viewBox": "0 0 8 8", "refX": "7", "refY": "4", "markerWidth": "7", "markerHeight": "7",
         "orient": "auto"},
        element("path", {"d": "M0 0 8 4 0 8z", "class": "quiet"}),
    ),
)  # fmt: skip
"""The dot grid of what is quantised, and the head of an arrow."""
