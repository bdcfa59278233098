"""The picture of a claim: its left side, its right side, and what is between them, as small coloured grids."""

from collections import defaultdict

import torch
from torch import Tensor

from lorabook.claims import svg
from lorabook.claims.runner import Verdict

CELL, GAP, LARGEST = 12, 2, 8
NEGATIVE, POSITIVE, NONE, NOT_FINITE = "#0072b2", "#e69f00", "#64748b33", "#d55e00"


def sides_svg(verdict: Verdict) -> str:
    """Return an SVG that draws left, right and difference on one colour scale, grids cut to 8 × 8.

    Blue is negative, orange positive, and the strength of the colour is the size in fifths of the largest entry; what
    rounds to none is grey, so that no rounding of this machine is drawn. A number alone has no picture: the text is
    then empty.
    """
    left, right = (_grid(side.detach().double()) for side in verdict.sides[:2])
    if left.numel() == 1:
        return ""
    largest = max(_finite(left).abs().max().item(), _finite(right).abs().max().item()) or 1.0
    words, squares, x = [], defaultdict(list), 0
    for title, grid in (("left side", left), ("right side", right), ("difference", left - right)):
        words.append(svg.text(x, 12, title, 11, {"fill": "currentColor"}))
        for i, row in enumerate((grid / largest).tolist()):
            for j, value in enumerate(row):
                squares[_paint(value)].append((x + j * CELL, 18 + i * CELL))
        x += max(grid.shape[1] * CELL, 70) + 28
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


def _grid(side: Tensor) -> Tensor:
    """Return the side as a matrix small enough to draw."""
    matrix = side.reshape(1, -1) if side.ndim < 2 else side.flatten(0, -2)
    return matrix[:LARGEST, :LARGEST]


def _finite(grid: Tensor) -> Tensor:
    return torch.where(grid.isfinite(), grid, 0.0)
