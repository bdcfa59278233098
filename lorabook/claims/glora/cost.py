"""What GLoRA costs: numbers, and operations before and after merging."""

import torch
from torch import nn

from lorabook.axes.form.glora import GLoRA
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.glora.form import layer, trained
from lorabook.core.lora import LoRA
from lorabook.core.merge import merge
from lorabook.cost.count import measured_flops


@claim(
    statement=r"GLoRA trains $2r(d_{in}+d_{out})+d_{in}+2d_{out}$ numbers with low-rank $A$, $B$ and vectors $C$, $D$, "
    r"$E$.",
    source="the shapes of the terms",
    tol=0,
)
def glora_trains_twice_lora_and_vectors(case: Case):
    numbers = sum(p.numel() for p in trained(case)[1].parameters())
    d_out, d_in, r = case.d_out, case.d_in, case.r
    return torch.tensor(numbers), torch.tensor(2 * r * (d_in + d_out) + d_in + 2 * d_out)


@claim(
    statement="A merged GLoRA computes what the plain layer computes, to the last operation.",
    source="it is affine: one weight, one bias",
    when="it is merged; before, it costs more than LoRA",
    tol=0,
)
def a_merged_glora_costs_nothing(case: Case):
    x, merged = case.x(), merge(layer(case, GLoRA(case.r)))
    plain = nn.Linear(case.d_in, case.d_out, dtype=torch.float64)
    return torch.tensor(measured_flops(lambda: merged(x))), torch.tensor(measured_flops(lambda: plain(x)))


@misconception(
    of=a_merged_glora_costs_nothing,
    statement="GLoRA computes more, in use as in training.",
    source="a teaching text's table (extra compute: more)",
)
def false_glora_always_costs_more(case: Case):
    x, model, merged = case.x(), layer(case, GLoRA(case.r)), merge(layer(case, GLoRA(case.r)))
    return torch.tensor(measured_flops(lambda: merged(x))), torch.tensor(measured_flops(lambda: model(x)))


@claim(
    statement="A training step of GLoRA computes more than one of LoRA with the same rank (LoRA, GLoRA).",
    source="two products are built entry by entry, and W with them, forwards and again backwards",
    relation="<=",
    tol=0,
    cases=(Case(32, 24, 2), Case(24, 48, 4)),
)
def a_step_of_glora_costs_more(case: Case):
    x = case.x()
    lora, glora = (layer(case, recipe) for recipe in (LoRA(case.r), GLoRA(case.r)))
    return tuple(torch.tensor(measured_flops(lambda m=m: m(x).square().sum().backward())) for m in (lora, glora))
