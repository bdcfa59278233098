"""Double quantisation: the constants of the quantisation are quantised too, 0.5 bits a weight down to 0.127."""

from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn

from lorabook.axes.base.blocks import TINY, quantise
from lorabook.axes.base.nf4 import FourBit
from lorabook.core.finite import refuse_not_finite
from lorabook.core.frozen import Frozen
from lorabook.core.recipe import Recipe
from lorabook.core.transforms import traced

GROUP = 256
"""Constants that share one float32 scale."""


def dynamic_code() -> Float32[Tensor, "256"]:
    """Return the 256 numbers of the signed 8-bit dynamic code, in rising order.

    ±10^(e−6)·m for e = 0 … 6, where m runs over the centres of 2^e even parts of [0.1, 1], and 0 and 1. Bits that a
    small exponent does not need go to the fraction of a large one.

    Source: Dettmers 2015 (1511.04561); Dettmers et al. 2021 (2110.02861), section 2.
    """
    values = []
    for e in range(7):
        edges = torch.linspace(0.1, 1, 2**e + 1, dtype=torch.float32, device="cpu")
        values.append(10 ** (e - 6) * ((edges[:-1] + edges[1:]) / 2))
    positive = torch.cat(values)
    return torch.cat([positive, -positive, positive.new_tensor([0.0, 1.0])]).sort().values


_DYNAMIC = tuple(dynamic_code().tolist())


@cache
def _table(device: torch.device) -> tuple[Float32[Tensor, "256"], Float32[Tensor, "255"]]:
    """Return the code and its midpoints."""
    code = dynamic_code()
    return code.to(device), ((code[:-1] + code[1:]) / 2).to(device)


def quantise_constants(
    constants: Float32[Tensor, " n"],
) -> tuple[UInt8[Tensor, " n"], Float32[Tensor, " groups"]]:
    """Return an 8-bit code for every constant and the absmax of every group of 256.

    Each gets the code nearest to constant/absmax. bitsandbytes does the same on CUDA; on the CPU it rounds the quotient
    to one of 65,536 steps first, so that about one code in a thousand is the neighbour of the nearest.
    """
    rows = _groups(constants)
    largest = rows.abs().amax(1)
    _, midpoints = _table(constants.device)
    codes = torch.bucketize(rows * (1 / largest.clamp_min(TINY))[:, None], midpoints)
    # A copy: what is saved must not be a part of the padded memory.
    return codes.to(torch.uint8).view(-1)[: len(constants)].clone(), largest


def dequantise_constants(codes: UInt8[Tensor, " n"], absmax: Float32[Tensor, " groups"]) -> Float32[Tensor, " n"]:
    """Return code·absmax for every constant."""
    # A table that is kept must not be one that a compiler dreamt up.
    table = torch.tensor(_DYNAMIC, device=codes.device) if traced(codes) else _table(codes.device)[0]
    rows = _groups(table.index_select(0, codes.int()))
    return (rows * absmax[:, None]).view(-1)[: len(codes)]


def _groups(x: Float32[Tensor, " n"]) -> Float32[Tensor, "groups 256"]:
    return F.pad(x, (0, -len(x) % GROUP)).view(-1, GROUP)


class DoubleQuant(FourBit):
    """ŵ = absmax_j·code with absmax_j = mean + group_absmax·code₈: 4 + 8/64 + 32/(64·256) = 4.127 bits a weight.

    An absmax is never negative, so half of a signed code would lie idle: the mean is taken off first, and kept.

    Source: Dettmers et al. 2023 (2305.14314), section 3, "Double Quantization".
    """

    def __init__(self, w0: Float[Tensor, "d_out d_in"]) -> None:
        packed, absmax = quantise(w0)
        super().__init__(w0, packed)
        mean = absmax.mean()
        codes, groups = quantise_constants(absmax - mean)
        self.register_buffer("absmax_codes", codes)
        self.register_buffer("group_absmax_bits", groups.view(torch.int32))
        self.register_buffer("mean_bits", mean.view(torch.int32))

    @property
    def absmax(self) -> Float32[Tensor, " blocks"]:
        centred = dequantise_constants(self.absmax_codes, self.group_absmax_bits.view(torch.float32))
        return centred + self.mean_bits.view(torch.float32)


@dataclass(frozen=True)
class DoubleQuantStorage:
    """The value on the base axis: W₀ in NF4, its constants quantised once more; QLoRA's."""

    def build(self, w0: Float[Tensor, "d_out d_in"]) -> DoubleQuant:
        return DoubleQuant(w0)

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        refuse_not_finite(
            f"{name}.weight", base.matrix, "no store in few bits can keep them. Repair it, or leave this layer out"
        )

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return 0
