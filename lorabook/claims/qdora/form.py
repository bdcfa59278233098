"""QDoRA: DoRA on a base in four bits. The lengths are those of the matrix that is really used."""

import torch
from torch import nn

from lorabook.axes.base.double_quant import DoubleQuant
from lorabook.axes.base.nf4 import NF4
from lorabook.axes.base.qlora import QLoRA
from lorabook.axes.form.dora import DoRA
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.qlora.storage import dequantised
from lorabook.core.adapted_layer import Adapted
from lorabook.core.inject import inject


def layer(case: Case) -> Adapted:
    """Return a Linear of the case with QDoRA, at its start."""
    module = nn.Sequential(nn.Linear(case.d_in, case.d_out, dtype=torch.float64))
    module[0].weight.data.copy_(case.w0())
    return inject(module, QLoRA(case.r, case.alpha) | DoRA(), "0", case.generator("A"))["0"]


@claim(
    statement=r"QDoRA starts at the quantised base: $W=\hat W$, since $m_i=\lVert\hat W_i\rVert$ is taken from the "
    r"dequantised matrix.",
    source="Liu et al. 2024 (2402.09353), on QDoRA; PEFT dequantises before it takes the norm",
)
def qdora_starts_at_the_quantised_base(case: Case):
    module = layer(case)
    return module.update.weight(module.base.matrix), module.base.matrix


@misconception(
    of=qdora_starts_at_the_quantised_base,
    statement=r"$m_i=\lVert W_{0,i}\rVert$, the lengths before quantisation, starts there as well.",
    source="a natural reading of “m starts at ‖W₀‖”; quantisation changes the length of every row",
)
def false_qdora_takes_the_original_lengths(case: Case):
    module = layer(case)
    module.update.m.data = case.w0().norm(dim=1)
    return module.update.weight(module.base.matrix), module.base.matrix


@claim(
    statement=r"The base does not move: after steps on $A$, $B$ and $m$ the stored bytes give the same $\hat W$, and "
    r"rows of $W$ have length $|m_i|$ (stacked).",
    source="QLoRA and DoRA set different axes, so they combine",
)
def qdora_trains_beside_its_bytes(case: Case):
    module = layer(case)
    optimizer = torch.optim.AdamW(module.update.parameters(), lr=0.05)
    for _ in range(3):
        optimizer.zero_grad()
        module(case.x()).square().sum().backward()
        optimizer.step()
    once = NF4(case.w0()).packed
    lengths = module.update.weight(module.base.matrix).norm(dim=1)
    return torch.cat([module.base.store.packed.double(), lengths]), torch.cat([once.double(), module.update.m.abs()])


@claim(
    statement=r"A training step of QDoRA dequantises $\hat W$ three times, for the product, for the norms, and for the "
    r"gradient of the input: what it makes adds up to $3\hat W$.",
    source="QLoRA's two, and W₀Aᵀ in the norms",
)
def qdora_dequantises_three_times(case: Case):
    module = layer(case)
    return sum(dequantised(module, case.x())), 3 * DoubleQuant(case.w0()).dense()


@misconception(
    of=qdora_dequantises_three_times,
    statement="QDoRA dequantises as often as QLoRA does.",
    source="a guess from the parameter counts, which differ by one number a row",
)
def false_qdora_dequantises_as_qlora_does(case: Case):
    module = layer(case)
    return sum(dequantised(module, case.x())), 2 * DoubleQuant(case.w0()).dense()
