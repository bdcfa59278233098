"""NF4: sixteen numbers on [−1, 1], placed where a normal distribution has its mass, one of them exactly zero."""

import torch
from jaxtyping import Float, Float32, Float64, UInt8
from torch import Tensor

OFFSET = 0.9677083
"""The outermost probability: the mean of 1 − 1/32 and 1 − 1/30, which keeps the outermost quantile finite."""

CODES = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
    -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
    0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip
"""The published table: float32 numbers, so that files and other libraries agree to the last bit.

Source: Dettmers et al. 2023 (2305.14314), appendix E.
"""


def quantile_codes(offset: float = OFFSET) -> Float64[Tensor, "16"]:
    """Return the table from its definition: 8 positive quantiles, 7 negative ones and 0, divided by the largest.

    With Φ⁻¹ the standard normal quantile: Φ⁻¹(offset + (½ − offset)·i/8) for i = 0 … 7, zero, and
    −Φ⁻¹(offset + (½ − offset)·i/7) for i = 0 … 6. The two sides are built apart, so that ½ gives one zero and not two.

    Source: Dettmers et al. 2023 (2305.14314), section 3; bitsandbytes, create_normal_map.
    """
    positive = _upper_quantiles(offset, 8)
    negative = -_upper_quantiles(offset, 7).flip(0)
    table = torch.cat([negative, positive.new_zeros(1), positive])
    return table / table.max()


def _upper_quantiles(offset: float, count: int) -> Float64[Tensor, " count"]:
    """Return `count` quantiles of evenly spaced probabilities above ½, up to `offset`, in rising order."""
    probabilities = torch.linspace(0.5, offset, count + 1, dtype=torch.float64, device="cpu")[1:]
    return torch.special.ndtri(probabilities)


def code_table(device: torch.device | str = "cpu") -> Float32[Tensor, "16"]:
    """Return `CODES` as a tensor."""
    return torch.tensor(CODES, dtype=torch.float32, device=device)


def midpoints() -> tuple[float, ...]:
    """Return the 15 numbers at which the nearest code changes, rounded to float32 as bitsandbytes does."""
    table = code_table()
    return tuple(((table[:-1] + table[1:]) / 2).tolist())


def nearest_code(x: Float[Tensor, "*shape"]) -> UInt8[Tensor, "*shape"]:
    """Return argmin_j |x − c_j| for every number: the definition, at 16 subtractions and 16 numbers kept for each."""
    distance = (x[..., None].double() - code_table(x.device).double()).abs()
    return distance.argmin(-1).to(torch.uint8)


def count_midpoints_below(x: Float[Tensor, "*shape"]) -> UInt8[Tensor, "*shape"]:
    """Return the same code as the number of midpoints below x: 15 comparisons, one byte kept for each.

    A number exactly on a midpoint gets the lower code.
    """
    first, *others = midpoints()
    code = (x > first).view(torch.uint8)
    above = torch.empty_like(code, dtype=torch.bool)
    for midpoint in others:
        torch.gt(x, midpoint, out=above)
        code += above.view(torch.uint8)
    return code
