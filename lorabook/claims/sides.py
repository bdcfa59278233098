"""The picture of a claim: its left side, its right side, and what is between them, as small coloured grids."""

import torch
from torch import Tensor

from lorabook.claims.runner import Verdict

CELL, LARGEST = 12, 16
NEGATIVE, POSITIVE = (0, 114, 178), (230, 159, 0)


def sides_svg(verdict: Verdict) -> str:
    """Return an SVG that draws left, right and difference on one colour scale, grids cut to 16 × 16.

    Blue is negative, orange positive, and the strength of the colour is the size relative to the largest entry.
    """
    left, right = (_grid(side.detach().double()) for side in verdict.sides[:2])
    if left.numel() == 1:
        return ""
    size = max(_finite(left).abs().max().item(), _finite(right).abs().max().item()) or 1.0
    panels, x = [], 0
    for title, grid in (("left side", left), ("right side", right), ("difference", left - right)):
        rows, columns = grid.shape
        panels.append(_panel(title, grid / size, x))
        x += max(columns * CELL, 70) + 28
    height = max(left.shape[0] * CELL + 22, 40)
    label = f"{verdict.claim.name}: the two sides and their difference"
    return (
        f'<svg role="img" aria-label="{label}" viewBox="0 0 {x} {height}" width="{x}" height="{height}" '
        f'style="max-width:100%;margin:.4em 0;display:block">{"".join(panels)}</svg>'
    )


def _panel(title: str, grid: Tensor, x: int) -> str:
    cells = [
        f'<rect x="{x + j * CELL}" y="{18 + i * CELL}" width="{CELL - 1}" height="{CELL - 1}" {_fill(value.item())}/>'
        for i, row in enumerate(grid)
        for j, value in enumerate(row)
    ]
    return f'<text x="{x}" y="12" font-size="11" fill="currentColor">{title}</text>' + "".join(cells)


def _fill(value: float) -> str:
    if value != value or abs(value) == float("inf"):
        return 'fill="none" stroke="#d55e00" stroke-dasharray="2 2"'
    r, g, b = POSITIVE if value > 0 else NEGATIVE
    return f'fill="rgb({r},{g},{b})" fill-opacity="{max(0.06, min(1.0, abs(value))):.2f}"'


def _grid(side: Tensor) -> Tensor:
    """Return the side as a matrix small enough to draw."""
    matrix = side.reshape(1, -1) if side.ndim < 2 else side.flatten(0, -2)
    return matrix[:LARGEST, :LARGEST]


def _finite(grid: Tensor) -> Tensor:
    return torch.where(grid.isfinite(), grid, 0.0)
