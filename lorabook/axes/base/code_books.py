"""What NF4 is compared with: other sets of at most 16 numbers, on the same blocks of 64."""

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from lorabook.axes.base.blocks import in_blocks
from lorabook.axes.base.normal_float import CODES


def nearest_in(w: Float[Tensor, "*shape"], codes: Float64[Tensor, " k"]) -> Float[Tensor, "*shape"]:
    """Return ŵ = c_j·argmin_{code} |w/c_j − code| with c_j the absmax of the block: quantisation by definition."""
    rows = in_blocks(w)
    absmax = rows.abs().amax(1, keepdim=True)
    x = rows / torch.where(absmax > 0, absmax, 1)
    choice = (x[..., None] - codes).abs().argmin(-1)
    return (absmax * codes[choice]).view(-1)[: w.numel()].view(w.shape)


def nf4_codes() -> Float64[Tensor, "16"]:
    """Return the published NF4 table in float64."""
    return torch.tensor(CODES, dtype=torch.float64)


def int4_codes() -> Float64[Tensor, "15"]:
    """Return −1, −6/7, …, 6/7, 1: what ŵ = s·round(w/s) with s = absmax/7 can reach."""
    return torch.arange(-7, 8, dtype=torch.float64) / 7


def seventeenths() -> Float64[Tensor, "16"]:
    """Return Φ⁻¹(i/17) for i = 1 … 16, divided by the largest: often printed as NF4, and not NF4.

    Source: the refuted formula; i = 0 and i = 17 would be infinite.
    """
    table = torch.special.ndtri(torch.arange(1, 17, dtype=torch.float64) / 17)
    return table / table.max()


def lloyd_max(w: Float64[Tensor, "*shape"], rounds: int = 200) -> Float64[Tensor, "16"]:
    """Return 16 codes with a lower Σ(w − ŵ)² on these weights than NF4's, found by Lloyd's two steps from NF4.

    Every number goes to its nearest code; every code moves to Σ c_j²·x / Σ c_j² over its numbers, x = w/c_j. Neither
    step can raise the error. A code to which no number goes stays where it is.

    Source: Lloyd 1982, "Least squares quantization in PCM"; Max 1960.
    """
    rows = in_blocks(w)
    absmax = rows.abs().amax(1, keepdim=True)
    x, order = (rows / torch.where(absmax > 0, absmax, 1)).flatten().sort()
    weight = absmax.square().expand_as(rows).flatten()[order]
    mass, moment = _from_zero(weight), _from_zero(weight * x)
    codes = nf4_codes()
    for _ in range(rounds):
        cuts = torch.searchsorted(x, (codes[:-1] + codes[1:]) / 2)
        ends = torch.cat([cuts.new_zeros(1), cuts, cuts.new_full((1,), len(x))])
        share = mass[ends].diff()
        codes = torch.where(share > 0, moment[ends].diff() / share, codes)
    return codes


def _from_zero(values: Float64[Tensor, " n"]) -> Float64[Tensor, " n1"]:
    """Return the running sums, with 0 before the first."""
    return torch.cat([values.new_zeros(1), values.cumsum(0)])
