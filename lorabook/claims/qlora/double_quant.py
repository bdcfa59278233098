"""Claims about double quantisation: what the constants of NF4 cost, and what their mean is for."""

import torch
from torch import Tensor

from lorabook.axes.base.blocks import quantise
from lorabook.axes.base.double_quant import DoubleQuant, dequantise_constants, quantise_constants
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.core.store import Store

QLORA = "Dettmers et al. 2023 (2305.14314)"
WHOLE = (Case(d_out=512, d_in=32, r=1), Case(d_out=64, d_in=512, r=3), Case(d_out=128, d_in=128, r=128))
"""Whole groups of 256 blocks of 64, so that no constant is shared by fewer weights than it could be."""


def bits_per_weight(case: Case, storage: type[Store]) -> Tensor:
    """Return 8·(bytes really kept)/(d_out·d_in)."""
    return torch.tensor(8 * storage(case.w0()).nbytes / (case.d_out * case.d_in))


@claim(
    statement=r"Bits a weight: $4+\frac8{64}+\frac{32}{64\cdot256}+\frac{32}{d_{out}d_{in}}\approx4.127$.",
    source=f"{QLORA}, section 3; the last term is the mean that is taken off the constants",
    cases=WHOLE,
    tol=1e-6,
)
def double_quantisation_takes_4_127_bits(case: Case):
    formula = 4 + 8 / 64 + 32 / (64 * 256) + 32 / (case.d_out * case.d_in)
    return bits_per_weight(case, DoubleQuant), torch.tensor(formula)


@misconception(
    of=double_quantisation_takes_4_127_bits,
    statement="A 4-bit weight takes 4 bits.",
    source="the name of the format; the constants are left out",
)
def false_four_bits_are_four_bits(case: Case):
    return bits_per_weight(case, DoubleQuant), torch.tensor(4.0)


@misconception(
    of=double_quantisation_takes_4_127_bits,
    statement=r"Bits a weight: $4+\frac{32}{64}=4.5$.",
    source="true of NF4 with single quantisation",
)
def false_double_quantisation_takes_4_5_bits(case: Case):
    return bits_per_weight(case, DoubleQuant), torch.tensor(4.5)


@claim(
    statement=r"$70\cdot10^9\cdot4.127/8=36.1$ GB: the weights of a 70B model.",
    source=f"{QLORA}, section 3, and arithmetic; adapters, activations and the optimiser come on top",
    cases=WHOLE,
    tol=1e-3,
)
def seventy_billion_weights_take_36_gigabytes(case: Case):
    return 70 * (bits_per_weight(case, DoubleQuant) - 32 / (case.d_out * case.d_in)) / 8, torch.tensor(36.1)


@misconception(
    of=seventy_billion_weights_take_36_gigabytes,
    statement="QLoRA puts the weights of a 70B model in 10 GB.",
    source="in circulation; 10 GB would be 1.14 bits a weight",
)
def false_seventy_billion_weights_take_10_gigabytes(case: Case):
    return 70 * (bits_per_weight(case, DoubleQuant) - 32 / (case.d_out * case.d_in)) / 8, torch.tensor(10.0)


def constants_error(case: Case, centre: bool) -> Tensor:
    """Return the mean square error of the 8-bit constants, with or without their mean taken off first."""
    _, absmax = quantise(case.w0())
    mean = absmax.mean() if centre else torch.zeros(())
    stored = dequantise_constants(*quantise_constants(absmax - mean)) + mean
    return (stored - absmax).double().square().mean()


@claim(
    statement=r"$2\,\mathbb E(c-\hat c_\mathrm{centred})^2\le\mathbb E(c-\hat c_\mathrm{not})^2$: centring pays.",
    source=f"{QLORA}, section 3: constants are positive, so half of a signed code would lie idle",
    relation="<=",
    cases=WHOLE,
)
def centring_the_constants_pays(case: Case):
    return 2 * constants_error(case, True), constants_error(case, False)


@misconception(
    of=centring_the_constants_pays,
    statement="The constants are kept as well without taking their mean off.",
    source="leaving it out saves one number a matrix, and loses precision",
)
def false_centring_the_constants_is_idle(case: Case):
    return constants_error(case, False), constants_error(case, True)
