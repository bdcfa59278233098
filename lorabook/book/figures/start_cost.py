"""What the starts that look at W₀ cost: milliseconds of PiSSA's SVD, of a whole QR, and of OLoRA's, side by side."""

import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, linalg

from lorabook.axes.init.olora import OrthonormalStart
from lorabook.axes.init.pissa import PrincipalStart
from lorabook.core.recipe import LayerSpec


def start_costs(widths: Sequence[int], r: int) -> list[tuple[int, str, str, str]]:
    """Return a row for each width d: d, and the times for a random d × d matrix as text."""
    rows = []
    for d in widths:
        w0, spec = torch.randn(d, d), LayerSpec("layer", r, 1.0, 0.0, torch.Generator())
        starts: tuple[Callable[[Tensor], object], ...] = (
            lambda w, spec=spec: PrincipalStart().build(w, spec),
            lambda w: linalg.qr(w.double()),
            lambda w, spec=spec: OrthonormalStart().build(w, spec),
        )
        rows.append((d, *(f"{1000 * _seconds(start, w0):.1f}" for start in starts)))
    return rows


def _seconds(start: Callable[[Tensor], object], w0: Tensor) -> float:
    start(w0[:32, :32])  # the first call loads what the others find loaded
    began = time.process_time()
    start(w0)
    return time.process_time() - began
