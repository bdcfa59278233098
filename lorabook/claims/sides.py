"""The picture of a claim: its left side, its right side, and what is between them, as small coloured grids."""

from collections import defaultdict

import torch
from torch import Tensor

from lorabook.claims import svg
from lorabook.claims.runner import Verdict

CELL, LARGEST = 12, 12
NEGATIVE, POSITIVE, NOT_FINITE = "#0072b2", "#e69f00", "#d55e00"


def sides_svg(verdict: Verdict) -> str:
    """Return an SVG that draws left, right and difference on one colour scale, grids cut to 12 × 12.

    Blue is negative, orange positive, and the strength of the colour is the size in tenths of the largest entry; what
    rounds to none is grey, so that no rounding of this machine is drawn. A number alone has no picture: the text is
    then empty.
    """
    left, right = (_grid(side.detach().double()) for side in verdict.sides[:2])
    if left.numel() == 1:
        return ""
    largest = max(_finite(left).abs().max().item(), _finite(right).abs().max().item()) or 1.0
    parts, x = [], 0
    for title, grid in (("left side", left), ("right side", right), ("difference", left - right)):
        parts += _panel(title, grid / largest, x)
        x += max(grid.shape[1] * CELL, 70) + 28
    label = f"{verdict.claim.name}: the two sides and their difference"
    height = max(left.shape[0] * CELL + 22, 40)
    return svg.picture(x, height, label, parts, {"style": "max-width:100%;margin:.4em 0;display:block"})


def _panel(title: str, grid: Tensor, x: int) -> list[str]:
    cells: dict[tuple[tuple[str, str], ...], list[svg.Point]] = defaultdict(list)
    for i, row in enumerate(grid.tolist()):
        for j, value in enumerate(row):
            cells[tuple(_paint(value).items())].append((x + j * CELL, 18 + i * CELL))
    squares = [svg.squares(corners, CELL - 1, dict(paint)) for paint, corners in cells.items()]
    return [svg.text(x, 12, title, 11, {"fill": "currentColor"}), *squares]


def _paint(value: float) -> svg.Paint:
    if value != value or abs(value) == float("inf"):
        return {"fill": "none", "stroke": NOT_FINITE, "stroke-dasharray": "2 2"}
    tenths = min(1.0, round(abs(value), 1))
    if tenths == 0:
        return {"fill": "currentColor", "fill-opacity": "0.06"}
    return {"fill": POSITIVE if value > 0 else NEGATIVE, "fill-opacity": f"{tenths:g}"}


def _grid(side: Tensor) -> Tensor:
    """Return the side as a matrix small enough to draw."""
    matrix = side.reshape(1, -1) if side.ndim < 2 else side.flatten(0, -2)
    return matrix[:LARGEST, :LARGEST]


def _finite(grid: Tensor) -> Tensor:
    return torch.where(grid.isfinite(), grid, 0.0)
