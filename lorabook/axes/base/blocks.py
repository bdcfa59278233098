"""Blocks of 64 numbers share one scale, and two codes share one byte."""

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Int64, UInt8
from torch import Tensor

from lorabook.axes.base.normal_float import code_table, count_midpoints_below
from lorabook.core.transforms import traced

BLOCK = 64
"""Numbers that share one absmax."""

CHUNK = 4096
"""Blocks worked on at a time: few enough that all passes over them stay in the processor's cache."""

TINY = torch.finfo(torch.float32).tiny
"""The smallest absmax whose inverse is taken: below it 1/absmax would leave float32, and be infinite for zeros."""

HUGE_PAGE_BYTES = 4 * 2**20
"""From this size on, numpy asks for huge pages."""


def in_blocks(w: Float[Tensor, "*shape"]) -> Float[Tensor, "blocks 64"]:
    """Return the numbers of `w`, row after row, 64 to a row; the last row is filled up with zeros."""
    flat = w.reshape(-1)
    short = -len(flat) % BLOCK
    return (F.pad(flat, (0, short)) if short else flat).view(-1, BLOCK)


def quantise(w: Float[Tensor, "*shape"]) -> tuple[UInt8[Tensor, " bytes"], Float32[Tensor, " blocks"]]:
    """Return two codes a byte (the first in the high half) and the absmax of every block of 64.

    c_j = max |w| over block j, and each w gets the NF4 code nearest to w/c_j. Blocks run along the rows of `w`; the
    last one may be short. As in bitsandbytes, w/c is computed as w·(1/c) in float32.

    Raises:
        ValueError: `w` is empty or holds a number that float32 cannot.

    Source: Dettmers et al. 2023 (2305.14314), section 2 (blocks) and section 3 (codes).
    """
    flat = w.detach().reshape(-1)
    count = -(-len(flat) // BLOCK)
    packed = torch.empty(-(-len(flat) // 2), dtype=torch.uint8, device=w.device)
    absmax = torch.empty(count, dtype=torch.float32, device=w.device)
    for start in range(0, count, CHUNK):
        x = in_blocks(flat[start * BLOCK : (start + CHUNK) * BLOCK]).float()
        largest = x.abs().amax(1)
        absmax[start : start + CHUNK] = largest
        x = x * (1 / largest.clamp_min(TINY))[:, None]
        place = packed[start * BLOCK // 2 : (start + CHUNK) * BLOCK // 2]
        place.copy_(pack(count_midpoints_below(x).view(-1))[: len(place)])
    # The largest of a block with a NaN is NaN: checking the constants checks every number, at 1/64 of the cost.
    if not count or not absmax.isfinite().all():
        raise ValueError(_what_is_wrong(w))
    return packed, absmax


def _what_is_wrong(w: Tensor) -> str:
    if not w.numel():
        return f"a matrix of shape {tuple(w.shape)} has no numbers to quantise"
    bad = ~w.float().isfinite()
    where = tuple(bad.nonzero()[0].tolist())
    return (
        f"entry {where} of W₀ is {w[where].item()}, which a float32 block constant cannot scale ({int(bad.sum())} such "
        "entries in all): repair the weight before quantising it"
    )


def pack(codes: UInt8[Tensor, " n"]) -> UInt8[Tensor, " half"]:
    """Put an even number of codes two to a byte, the first of each pair in the high half."""
    return (codes[::2] << 4) | codes[1::2]


def unpack(packed: UInt8[Tensor, " bytes"]) -> UInt8[Tensor, " n"]:
    """Return the codes one to a byte again."""
    return torch.stack([packed >> 4, packed & 15], dim=1).view(-1)


def dequantise(
    packed: UInt8[Tensor, " bytes"], absmax: Float32[Tensor, " blocks"], shape: torch.Size, dtype: torch.dtype
) -> Float[Tensor, "*shape"]:
    """Return ŵ = c_j·code for every number, rounded once, from float32 to `dtype`.

    A byte holds two codes, so one look-up in a table of 256 pairs finds both.
    """
    if traced(packed):
        return _dequantise_by_definition(packed, absmax, shape).to(dtype)
    pairs = _pairs(packed.device)
    out = _fresh(2 * len(packed), dtype, packed.device)
    for start in range(0, len(absmax), CHUNK):
        here = packed[start * BLOCK // 2 : (start + CHUNK) * BLOCK // 2]
        codes = pairs.index_select(0, here.int()).view(torch.float32)
        place = out[start * BLOCK : start * BLOCK + len(codes)]
        _scale(codes, absmax[start : start + CHUNK], place)
    return out[: shape.numel()].view(shape)


def _dequantise_by_definition(
    packed: UInt8[Tensor, " bytes"], absmax: Float32[Tensor, " blocks"], shape: torch.Size
) -> Float32[Tensor, "*shape"]:
    """Return c_j·code for every number: the same bits, in products that torch's transforms can read."""
    codes = code_table(packed.device)[unpack(packed).int()]
    return (in_blocks(codes) * absmax[:, None]).view(-1)[: shape.numel()].view(shape)


def _scale(codes: Float32[Tensor, " n"], absmax: Float32[Tensor, " blocks"], out: Float[Tensor, " n"]) -> None:
    whole = len(codes) // BLOCK
    rows = codes[: whole * BLOCK].view(whole, BLOCK)
    out[: whole * BLOCK].view(whole, BLOCK).copy_(rows.mul_(absmax[:whole, None]))
    if whole < len(absmax):
        out[whole * BLOCK :] = codes[whole * BLOCK :] * absmax[whole]


@cache
def _pairs(device: torch.device) -> Int64[Tensor, "256"]:
    """Return, for every byte, its two float32 codes side by side, read as one 8-byte number."""
    table = code_table("cpu")
    return torch.stack([table.repeat_interleave(16), table.repeat(16)], dim=1).view(torch.int64).view(-1).to(device)


def _fresh(count: int, dtype: torch.dtype, device: torch.device) -> Float[Tensor, " count"]:
    """Return uninitialised memory.

    The first touch of a 4 KiB page costs more than dequantising into it. numpy asks Linux for huge pages, torch does
    not, and here that halves the time.
    """
    size = count * dtype.itemsize
    if device.type != "cpu" or size < HUGE_PAGE_BYTES:
        return torch.empty(count, dtype=dtype, device=device)
    return torch.from_numpy(np.empty(size, dtype=np.uint8)).view(dtype)
