"""The picture of a claim: its left side, its right side, and what is between them, as small coloured grids."""

import torch
from torch import Tensor

from lorabook.claims import svg
from lorabook.claims.runner import Verdict

CELL, LARGEST = 12, 16
NEGATIVE, POSITIVE, NOT_FINITE = "#0072b2", "#e69f00", "#d55e00"


def sides_svg(verdict: Verdict) -> str:
    """Return an SVG that draws left, right and difference on one colour scale, grids cut to 16 × 16.

    Blue is negative, orange positive, and the strength of the colour is the size relative to the largest entry. A
    number alone has no picture: the text is then empty.
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
    cells = [
        svg.rect(x + j * CELL, 18 + i * CELL, CELL - 1, CELL - 1, _paint(value))
        for i, row in enumerate(grid.tolist())
        for j, value in enumerate(row)
    ]
    return [svg.text(x, 12, title, 11, {"fill": "currentColor"}), *cells]


def _paint(value: float) -> svg.Paint:
    if value != value or abs(value) == float("inf"):
        return {"fill": "none", "stroke": NOT_FINITE, "stroke-dasharray": "2 2"}
    opacity = max(0.06, min(1.0, abs(value)))
    return {"fill": POSITIVE if value > 0 else NEGATIVE, "fill-opacity": f"{opacity:.2f}"}


def _grid(side: Tensor) -> Tensor:
    """Return the side as a matrix small enough to draw."""
    matrix = side.reshape(1, -1) if side.ndim < 2 else side.flatten(0, -2)
    return matrix[:LARGEST, :LARGEST]


def _finite(grid: Tensor) -> Tensor:
    return torch.where(grid.isfinite(), grid, 0.0)
