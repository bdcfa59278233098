"""Merging, stacking and taking apart: what is exact, and in which arithmetic."""

import torch
from torch import nn

from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.lora.form import merging_is_exact
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.merge import merge


def layer_of(case: Case, dtype: torch.dtype) -> nn.Sequential:
    """Return one Linear with the case's W₀ in a dtype."""
    model = nn.Sequential(nn.Linear(case.d_in, case.d_out, dtype=dtype))
    with torch.no_grad():
        model[0].weight.copy_(case.w0())
        model[0].bias.copy_(case.randn(case.d_out, stream="bias"))
    return model.requires_grad_(False)


def adapt(model: nn.Sequential, case: Case, stream: str) -> None:
    """Put a trained adapter on it; another `stream` is another adapter."""
    layer = inject(model, LoRA(case.r, case.alpha), "0", case.generator("A" + stream))["0"]
    layer.update.B.data.copy_(case.randn(case.d_out, case.r, stream="B" + stream))


@misconception(
    of=merging_is_exact,
    statement=r"The merged layer computes the same in bf16.",
    source="true in real numbers; in bf16 W₀ + s·BA is rounded to 8 bits, and rounds W₀'s own details away",
)
def false_merging_is_exact_in_bf16(case: Case):
    model = layer_of(case, torch.bfloat16)
    adapt(model, case, "one")
    x = case.x().bfloat16()
    with torch.no_grad():
        before = model(x)
        return before.double(), merge(model)(x).double()


@claim(
    statement=r"Merge one adapter, train a second on top: $W=W_0+s\,B_1A_1+s\,B_2A_2$. Stacked adapters add up.",
    source="the second adapter's W₀ is the first one's W",
)
def stacked_adapters_add_up(case: Case):
    model, total = layer_of(case, torch.float64), case.w0()
    for stream in ("one", "two"):
        adapt(model, case, stream)
        update = model[0].update
        total = total + case.s * (update.B @ update.A).detach()
        merge(model)
    return model[0].weight, total


@misconception(
    of=stacked_adapters_add_up,
    statement=r"Two stacked adapters average: $W=W_0+\tfrac12 s(B_1A_1+B_2A_2)$.",
    source="confuses stacking with a weighted merge",
)
def false_stacked_adapters_average(case: Case):
    stacked, total = stacked_adapters_add_up.sides(case)
    return stacked, (total + case.w0()) / 2
