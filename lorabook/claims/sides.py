"""The picture of a claim: its left side, its right side, and what is between them, as small coloured grids."""

import math
from collections import defaultdict

import torch
from torch import Tensor

from lorabook.claims import svg
from lorabook.claims.runner import Verdict

CELL, GAP, LARGEST, FAINT = 12, 2, 8, 0.1
NEGATIVE, POSITIVE, NONE, NOT_FINITE = "#0072b2", "#e69f00", "#64748b33", "#d55e00"


def sides_svg(verdict: Verdict) -> str:
    """Return an SVG that draws left, right and difference on one colour scale, grids cut to 8 × 8.

    Blue is negative, orange positive, and the strength of the colour is the size in fifths of the largest entry; what
    rounds to none is grey, so that no rounding of this machine is drawn. Of a misconception the cut shows where the
    sides differ, and a difference that would round to none is magnified by a power of ten, which its title says. A
    number alone has no picture: the text is then empty.
    """
    left, right = (_matrix(side.detach().double()) for side in verdict.sides[:2])
    if left.numel() == 1:
        return ""
    false = verdict.claim.is_misconception
    cut = _where_they_differ(left - right) if false else _cut(0, 0)
    left, right = left[cut], right[cut]
    largest = max(_finite(left).abs().max().item(), _finite(right).abs().max().item()) or 1.0
    times = _magnified(left - right, largest) if false else 1
    title = "difference" if times == 1 else f"difference × {times}"
    words, squares, x = [], defaultdict(list), 0
    for name, grid in (("left side", left), ("right side", right), (title, times * (left - right))):
        words.append(svg.text(x, 12, name, 11, {"fill": "currentColor"}))
        for i, row in enumerate((grid / largest).tolist()):
            for j, value in enumerate(row):
                squares[_paint(value)].append((x + j * CELL, 18 + i * CELL))
        x += max(grid.shape[1] * CELL, 70 if name != title or times == 1 else 120) + 28
    parts = [*words, *(svg.squares(corners, CELL - GAP, dict(paint)) for paint, corners in squares.items())]
    label = f"{verdict.claim.name}: the two sides and their difference"
    height = max(left.shape[0] * CELL + 22, 40)
    return svg.picture(x, height, label, parts, {"style": "max-width:100%;margin:.4em 0;display:block"})


def _paint(value: float) -> tuple[tuple[str, str], ...]:
    """Return the attributes of a square, as what may be a key."""
    if value != value or abs(value) == float("inf"):
        return ("stroke", NOT_FINITE), ("stroke-dasharray", "2 2")
    # A half is a common value, and must not fall to one side or the other by a rounding.
    fifths = min(5, round(5 * abs(value) - 0.01))
    if fifths == 0:
        return (("stroke", NONE),)
    return (("stroke", f"{POSITIVE if value > 0 else NEGATIVE}{fifths * 51:02x}"),)


def _matrix(side: Tensor) -> Tensor:
    return side.reshape(1, -1) if side.ndim < 2 else side.flatten(0, -2)


def _cut(row: int, column: int) -> tuple[slice, slice]:
    """Return the place of a matrix small enough to draw."""
    return slice(row, row + LARGEST), slice(column, column + LARGEST)


def _where_they_differ(difference: Tensor) -> tuple[slice, slice]:
    """Return the first corner, or the place with the largest difference if the corner has less than half of it."""
    sizes = difference.abs().nan_to_num(torch.inf)
    if sizes[_cut(0, 0)].max() >= sizes.max() / 2:
        return _cut(0, 0)
    row, column = divmod(int(sizes.argmax()), sizes.shape[1])
    return _cut(*(max(0, min(at, size - LARGEST)) for at, size in zip((row, column), sizes.shape, strict=True)))


def _magnified(difference: Tensor, largest: float) -> int:
    """Return the least power of ten with which the largest difference is seen."""
    seen = difference.abs().max().item() / largest
    return 1 if not 0 < seen <= FAINT else 10 ** math.ceil(-math.log10(seen / FAINT))


def _finite(grid: Tensor) -> Tensor:
    return torch.where(grid.isfinite(), grid, 0.0)
