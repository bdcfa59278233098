"""Names in rounded boxes, side by side, wrapped to a width: how both pictures of the axes show who moves where."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Chip:
    """A name, the left side and the width of its box in pixels, and its line, counted from 0."""

    name: str
    x: float
    width: float
    line: int

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


def wrapped(names: Iterable[str], left: float, right: float, *, letter: float, gap: float) -> list[Chip]:
    """Return a chip for each name, `gap` pixels apart, between `left` and `right`.

    Args:
        letter: how wide a letter is taken to be.
    """
    chips: list[Chip] = []
    x, line = left, 0
    for name in names:
        width = letter * len(name) + 12
        if x + width > right and x > left:
            x, line = left, line + 1
        chips.append(Chip(name, x, width, line))
        x += width + gap
    return chips


def lines(chips: Iterable[Chip]) -> int:
    """Return how many lines the chips take; what has none takes one."""
    return max((chip.line + 1 for chip in chips), default=1)
