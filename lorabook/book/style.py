"""The one visual language of the book: what is frozen, trained, quantised, left over, false, or the reference.

Figures (matplotlib), explorers (JavaScript) and diagrams (SVG) all take their colours, dashes and markers from here, so
that a thing looks the same wherever it appears. Nothing is told by colour alone: each role and variant has a dash or a
marker as well.
"""

import json
from dataclasses import asdict, dataclass
from textwrap import wrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Role:
    """What a drawn thing is: its colour on a light and on a dark ground, its dash, its fill pattern."""

    light: str
    dark: str
    dash: str = "solid"
    pattern: str = ""


FROZEN = Role("#64748b", "#94a3b8")
TRAINABLE = Role("#e69f00", "#f0b429")
QUANTISED = Role("#8a929c", "#9aa5b1", pattern=".")
RESIDUAL = Role("#a9cce8", "#7fb2dc")
FALSE = Role("#d55e00", "#ff7a2f", dash="dash")
REFERENCE = Role("#000000", "#ffffff", dash="dot")

ROLES: dict[str, Role] = {
    "frozen": FROZEN,
    "trainable": TRAINABLE,
    "quantised": QUANTISED,
    "residual": RESIDUAL,
    "false": FALSE,
    "reference": REFERENCE,
}


@dataclass(frozen=True)
class Ground:
    """Colours of what is not data, on a light or on a dark ground."""

    text: str
    quiet: str
    grid: str


LIGHT = Ground(text="#1f2937", quiet="#5b6470", grid="#d9dee4")
DARK = Ground(text="#e6e9ee", quiet="#a3adb8", grid="#3d454f")
NEUTRAL = Ground(text="#7a828c", quiet="#7a828c", grid="#9aa2ac66")
"""`NEUTRAL` is readable on both: for pictures that cannot know where they will be shown."""

# Okabe–Ito without black and vermilion, which are the reference and the false statement, and without yellow, which is
# lost on white. The dark values are the same hues, lighter.
OKABE_ITO: tuple[tuple[str, str], ...] = (
    ("#e69f00", "#f0b429"),
    ("#0072b2", "#4aa8e0"),
    ("#009e73", "#2fc99b"),
    ("#cc79a7", "#e39ac2"),
    ("#56b4e9", "#8fd0f5"),
)
DASHES = ("solid", "dashdot", "longdash", "longdashdot")
MARKERS = ("circle", "square", "diamond", "triangle-up", "cross", "star")
MATPLOTLIB_DASH = {
    "solid": "-",
    "dot": ":",
    "dash": "--",
    "dashdot": "-.",
    "longdash": (0, (9, 3)),
    "longdashdot": (0, (9, 3, 2, 3)),
}
MATPLOTLIB_MARKER = {"circle": "o", "square": "s", "diamond": "D", "triangle-up": "^", "cross": "P", "star": "*"}

VARIANTS: tuple[str, ...] = (
    "LoRA", "rsLoRA", "DoRA", "PiSSA", "QLoRA",
    "LoHa", "AdaLoRA", "LoRA+", "LongLoRA", "S-LoRA",
    "LoRA-FA", "HiRA", "LoKr", "VeRA", "GLoRA",
    "OLoRA", "MELoRA", "MultiLoRA", "Delta-LoRA", "DyLoRA",
    "LoRA-drop", "O-LoRA", "LoRAHub", "QDoRA", "QPiSSA",
    "DP-DyLoRA", "adapters", "prefix", "head", "stack",
    "bottleneck", "LoRA r=2", "LoRA r=32", "LoKr factor=8", "QLoRA | rsLoRA | LoRA+",
    "LoRA on attention", "LoRA on MLP",
)  # fmt: skip
"""The order never changes, so that a variant looks the same in every chapter: a new one goes to the end."""

PLACES = len(OKABE_ITO) * len(MARKERS) * len(DASHES)
"""How many variants the palette can tell apart."""


@dataclass(frozen=True)
class Stroke:
    """How a variant is drawn in every plot of the book."""

    light: str
    dark: str
    dash: str
    marker: str


def variant(name: str) -> Stroke:
    """Return the stroke of a variant.

    Raises:
        KeyError: `name` is not in VARIANTS.
    """
    if name not in VARIANTS:
        raise KeyError(f"no stroke for the variant {name!r}; style.VARIANTS has {', '.join(VARIANTS)}.")
    return stroke(VARIANTS.index(name))


def stroke(place: int) -> Stroke:
    """Return the stroke that belongs to a place in VARIANTS, taken or still free.

    Five colours and six markers have no common divisor, so thirty places in a row differ in that pair. Within them
    the dash goes one on with every turn of the colours; each further thirty begin with the next dash, so that a pair
    comes back with another one until all dashes are used.

    Raises:
        IndexError: the palette has no such place.
    """
    if not 0 <= place < PLACES:
        raise IndexError(f"place {place} is none of the palette's {PLACES}; a colour, marker or dash must be added")
    pairs = len(OKABE_ITO) * len(MARKERS)
    light, dark = OKABE_ITO[place % len(OKABE_ITO)]
    turn = place % pairs // len(OKABE_ITO) + place // pairs
    return Stroke(light, dark, DASHES[turn % len(DASHES)], MARKERS[place % len(MARKERS)])


def series(place: int) -> Stroke:
    """Return the stroke of one of the lines of a plot, counted from 0, that stand for no variant of their own.

    Colour, dash and marker all change from each line to the next; the sixty-first looks like the first.
    """
    light, dark = OKABE_ITO[place % len(OKABE_ITO)]
    return Stroke(light, dark, DASHES[place % len(DASHES)], MARKERS[place % len(MARKERS)])


def as_json() -> str:
    """Return the whole language as JSON: what the explorers' JavaScript reads."""
    strokes = {name: asdict(variant(name)) for name in VARIANTS}
    grounds = {"light": asdict(LIGHT), "dark": asdict(DARK)}
    return json.dumps({"roles": {k: asdict(r) for k, r in ROLES.items()}, "variants": strokes, "grounds": grounds})


LETTERS_PER_INCH = 12
"""How many letters of a title fit, beside what stands left of the axes."""

SMALL_LETTERS_PER_INCH = 14
"""The same of a sentence above the whole figure."""


def figure(width: float = 6.4, height: float = 3.2) -> "Figure":
    """Return an empty matplotlib figure (inches) with a transparent ground and text readable on light and dark.

    It belongs to no pyplot state, so a callback on another thread cannot draw into it by accident.
    """
    from matplotlib.figure import Figure  # 0.4 s that a reader without figures need not spend

    empty = Figure(figsize=(width, height), dpi=110, layout="constrained")
    empty.patch.set_alpha(0)
    return empty


def sentence_above(figure: "Figure", sentence: str) -> None:
    """Write what a picture says over the whole figure, in as many lines as its width asks for."""
    letters = int(SMALL_LETTERS_PER_INCH * figure.get_figwidth())
    figure.suptitle("\n".join(wrap(sentence, letters)), color=NEUTRAL.text, fontsize=9, x=0.01, ha="left")


def axes(figure: "Figure", title: str, x: str, y: str, place: tuple[int, int, int] = (1, 1, 1)) -> "Axes":
    """Add axes to a figure in the book's style: the message as the title, quiet spines, units in the labels."""
    panel = figure.add_subplot(*place)
    panel.set_facecolor("none")
    letters = int(LETTERS_PER_INCH * figure.get_figwidth() / place[1])
    panel.set_title("\n".join(wrap(title, letters)), color=NEUTRAL.text, fontsize=10, loc="left")
    panel.set_xlabel(x, color=NEUTRAL.text, fontsize=9)
    panel.set_ylabel(y, color=NEUTRAL.text, fontsize=9)
    panel.tick_params(colors=NEUTRAL.quiet, labelsize=8)
    panel.grid(True, color=NEUTRAL.grid, linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines[["left", "bottom"]].set_color(NEUTRAL.quiet)
    return panel
