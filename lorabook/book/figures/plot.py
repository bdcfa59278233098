"""A small plot inside a drawing: axes with units, lines, bars. As little as a diagram needs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lorabook.book.figures.drawing import Drawing


@dataclass(frozen=True)
class Span:
    """The values that an axis runs over, perhaps in equal ratios instead of equal steps."""

    first: float
    last: float
    log: bool = False

    def place(self, value: float) -> float:
        """Return where a value lies, 0 at the first and 1 at the last."""
        if self.log:
            return math.log(value / self.first) / math.log(self.last / self.first)
        return (value - self.first) / (self.last - self.first)


@dataclass(frozen=True)
class Plot:
    """The rectangle (x, y, width, height) of a drawing, in pixels, with a span on each side."""

    drawing: Drawing
    x: float
    y: float
    width: float
    height: float
    across: Span
    up: Span

    def at(self, across: float, up: float) -> tuple[float, float]:
        """Return the pixel of a point."""
        return self.x + self.width * self.across.place(across), self.y + self.height * (1 - self.up.place(up))

    def axes(self, across: str, up: str, ticks_across: Mapping[float, str], ticks_up: Mapping[float, str]) -> None:
        """Draw both axes with their names, units included, and the ticks asked for."""
        for value, words in ticks_up.items():
            y = self.at(self.across.first, value)[1]
            self.drawing.line([(self.x, y), (self.x + self.width, y)], "grid", width=1)
            self.drawing.note(self.x - 6, y + 4, words, anchor="end")
        self.foot(ticks_across)
        self.drawing.note(self.x + self.width / 2, self.y + self.height + 31, across)
        self.drawing.note(self.x - 30, self.y - 9, up, anchor="start")

    def foot(self, ticks: Mapping[float, str]) -> None:
        """Draw the lower axis alone, with its ticks."""
        for value, words in ticks.items():
            self.drawing.note(self.at(value, self.up.first)[0], self.y + self.height + 15, words)
        self.drawing.line([(self.x, self.y + self.height), (self.x + self.width, self.y + self.height)], "quiet")

    def line(self, xs: Sequence[float], ys: Sequence[float], role: str, *, width: float = 2.5) -> None:
        """Draw a line through the points (x, y)."""
        self.drawing.line([self.at(x, y) for x, y in zip(xs, ys, strict=True)], role, width=width)

    def bar(self, middle: float, value: float, width: float, role: str) -> None:
        """Draw a bar `width` pixels wide from the foot of the plot up to `value`."""
        x, top = self.at(middle, value)
        self.drawing.rect(x - width / 2, top, width, self.y + self.height - top, role)
