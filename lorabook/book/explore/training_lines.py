"""What is drawn in the training explorer: the runs of this machine and of the record, each told from all others.

Two lines differ in label and in the pair of colour and dash, as long as there are no more than twenty; up to four
differ in both. The marker is always the variant's own.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from lorabook.arena.job import Row
from lorabook.book import style
from lorabook.book.explore.training_recorded import steps_of, thinned
from lorabook.book.explore.training_runs import Line
from lorabook.book.explore.training_state import NONE, State, is_full


@dataclass(frozen=True)
class Curve:
    """A run to draw and to list, in one form wherever it was trained: `number` is None for a run of the record.

    x, y: every fifth step and its training loss, all that a record keeps; losses: of every step, where they are known.
    score: on unseen text, of a finished run.
    """

    number: int | None
    knobs: State
    x: list[int]
    y: list[float]
    losses: list[float]
    trained: int
    kept: int
    seconds: float
    score: float | None
    state: str


def of_line(line: Line) -> Curve:
    """Return a run of this machine."""
    run = line.run
    x, y = thinned(run.losses)
    return Curve(
        line.number, line.knobs, x, y, list(run.losses), run.trained, run.backward_bytes, run.seconds, run.final,
        run.state,
    )  # fmt: skip


def of_row(row: Row, knobs: State, steps: int) -> Curve:
    """Return a run of the record."""
    x = steps_of(row.curve, steps)
    return Curve(
        None, knobs, x, list(row.curve), [], row.trained, row.backward_bytes or 0, row.seconds or 0.0, row.score,
        row.state,
    )  # fmt: skip


WORDS: dict[str, Callable[[State], str]] = {
    "r": lambda knobs: f"{knobs.chosen.letter} {knobs.r}",
    "own": lambda knobs: f"{knobs.chosen.knob.letter} {knobs.own:g}",
    "alpha": lambda knobs: f"α {knobs.alpha:g}",
    "lr": lambda knobs: f"rate {rate(knobs.lr)}",
    "targets": lambda knobs: knobs.targets,
    "seed": lambda knobs: f"seed {knobs.seed}",
}
"""How a label says a knob."""
FOR_ALL = ("targets", "seed")
"""Knobs that a label says if any two lines differ in them; the others, if two lines of one variant do."""


def rate(lr: float) -> str:
    """Write a learning rate as the controls do."""
    return f"{lr:.4g}".replace("e-0", "e-")


def labels(curves: Sequence[Curve]) -> list[str]:
    """Return a name for each line: its number, its variant, and exactly those knobs in which it differs from others."""
    return [_label(curve, curves) for curve in curves]


def _label(curve: Curve, curves: Sequence[Curve]) -> str:
    own = curve.knobs
    parts = [own.variant]
    for name, word in WORDS.items():
        rivals = [c.knobs for c in curves if name in FOR_ALL or c.knobs.variant == own.variant]
        values = {getattr(other, name) for other in rivals} - {NONE}
        if len(values) > 1 and getattr(own, name) != NONE:
            parts.append(word(own))
    return ", ".join([*parts, "recorded"]) if curve.number is None else f"{curve.number}: {', '.join(parts)}"


def looks(curves: Sequence[Curve]) -> list[style.Stroke]:
    """Return a stroke for each line; that of a line does not change when others come after it."""
    used: list[tuple[str, str]] = []
    strokes = []
    for curve in curves:
        reference = is_full(curve.knobs) and style.REFERENCE.dash not in (dash for _, dash in used)
        stroke = _reference() if reference else _free(curve, used)
        used.append((stroke.light, stroke.dash))
        strokes.append(stroke)
    return strokes


def _reference() -> style.Stroke:
    return style.Stroke(style.REFERENCE.light, style.REFERENCE.dark, style.REFERENCE.dash, "circle")


def _free(curve: Curve, used: Sequence[tuple[str, str]]) -> style.Stroke:
    """Return the variant's own stroke, its colour and its dash each replaced where another line has them."""
    own = _reference() if is_full(curve.knobs) else style.variant(curve.knobs.variant)
    dark = dict(style.OKABE_ITO)
    colours, dashes = _first(own.light, dark), _first(own.dash, style.DASHES)

    def crowded(pair: tuple[str, str]) -> tuple[int, int]:
        return used.count(pair), sum(colour == pair[0] for colour, _ in used) + sum(dash == pair[1] for _, dash in used)

    colour, dash = min(product(colours, dashes), key=crowded)
    return style.Stroke(colour, dark[colour], dash, own.marker)


def _first(own: str, among: Iterable[str]) -> list[str]:
    return sorted(among, key=lambda each: each != own)
