"""What DoRA costs beside LoRA: few numbers, and work and kept bytes that the few numbers do not show."""

import torch
from torch import Tensor, nn

from lorabook.axes.form.dora import DoRA
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.dora.form import LIU
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.merge import merge
from lorabook.core.recipe import Recipe
from lorabook.cost.count import layer_matrices, measured_flops, saved_bytes, trainable
from lorabook.models.decoder import Decoder, DecoderConfig

SMALL = DecoderConfig(vocab=20, hidden=16, layers=2, heads=4, kv_heads=2, d_head=4, ffn=24, context=8)
ROWS = 11


def model(case: Case, recipe: Recipe) -> nn.Sequential:
    """Return one adapted Linear of the case, its trained numbers moved from their start."""
    net = nn.Sequential(nn.Linear(case.d_in, case.d_out, dtype=torch.float64))
    net[0].weight.data.copy_(case.w0())
    inject(net, recipe, "0", case.generator("A"))
    net[0].update.B.data.copy_(case.factors().B)
    return net


def forward_flops(case: Case, recipe: Recipe) -> Tensor:
    """Return the operations of all matrix products of a forward pass."""
    net = model(case, recipe)
    return torch.tensor(measured_flops(lambda: net(case.x(ROWS))))


def kept(case: Case, recipe: Recipe) -> Tensor:
    """Return the bytes that a forward pass keeps for backward, beside its input and the frozen buffers."""
    net, x = model(case, recipe), case.x(ROWS)
    return torch.tensor(saved_bytes(lambda: net(x), besides=[x, *net.buffers()]))


@claim(
    statement=r"DoRA trains $r(d_{in}+d_{out})+d_{out}$ numbers a matrix: LoRA's and one length for each output.",
    source=f"{LIU}, section 4.1",
    tol=0,
)
def dora_trains_one_number_more_for_each_output(case: Case):
    counted = [trainable(model(case, DoRA(case.r))), trainable(model(case, LoRA(case.r))) + case.d_out]
    return torch.tensor(counted), torch.tensor([case.r * (case.d_in + case.d_out) + case.d_out] * 2)


def added_in_a_model() -> Tensor:
    """Return how many numbers DoRA trains beyond LoRA on all seven matrices of every layer."""
    counts = []
    for recipe in (DoRA(2), LoRA(2)):
        decoder = Decoder(SMALL)
        inject(decoder, recipe, "proj")
        counts.append(trainable(decoder))
    return torch.tensor(counts[0] - counts[1])


@claim(
    statement=r"In a decoder DoRA adds $\sum d_{out}$ over the adapted matrices of a layer: with all seven, "
    r"$2h+a+2kv+2f$.",
    source=f"{LIU}, section 4.1, summed",
    when=r"“$+d$” is one matrix: $d$ is its own $d_{out}$, and a layer has up to seven",
    tol=0,
    cases=(Case(1, 1, 1),),
)
def dora_adds_the_outputs_of_every_matrix(case: Case):
    return added_in_a_model(), torch.tensor(SMALL.layers * sum(d_out for d_out, _ in layer_matrices(SMALL).values()))


@misconception(
    of=dora_adds_the_outputs_of_every_matrix,
    statement=r"DoRA adds $d_{model}$ numbers a layer.",
    source="a comparison table: “+d per layer”",
)
def false_dora_adds_the_width_once_a_layer(case: Case):
    return added_in_a_model(), torch.tensor(SMALL.layers * SMALL.hidden)


@claim(
    statement=r"A forward pass takes $2r\,d_{out}d_{in}+2r^2(d_{out}+d_{in})$ operations more than LoRA's, for the "
    r"norms: $r/n$ of the layer's own on $n$ positions.",
    source="W₀Aᵀ, AAᵀ and B(AAᵀ) by the identity for the norms; forming BA costs the first term as well",
    when="the norms are not cached; what scales with the batch is only the product with m/‖V‖",
    tol=0,
)
def dora_pays_for_its_norms(case: Case):
    d_out, d_in, r = case.d_out, case.d_in, case.r
    return forward_flops(case, DoRA(r)) - forward_flops(case, LoRA(r)), torch.tensor(
        2 * r * d_out * d_in + 2 * r * r * (d_out + d_in)
    )


@misconception(
    of=dora_pays_for_its_norms,
    statement=r"Only $d_{out}$ numbers more, so only $d_{out}$ multiplications a position more.",
    source="teaching texts: “minimal overhead: only d extra parameters”",
)
def false_dora_pays_for_its_numbers(case: Case):
    return forward_flops(case, DoRA(case.r)) - forward_flops(case, LoRA(case.r)), torch.tensor(ROWS * case.d_out)


@claim(
    statement=r"DoRA keeps $n\,d_{out}$ numbers more than LoRA for backward (the output before it is scaled), and for "
    r"each row a norm and a factor.",
    source="∂L/∂m_i needs (Vx)_i of every position; LoRA's output is kept by nobody in the layer",
    tol=0,
)
def dora_keeps_its_output(case: Case):
    more = kept(case, DoRA(case.r)) - kept(case, LoRA(case.r))
    return more, torch.tensor(8 * (ROWS * case.d_out + 2 * case.d_out))


@misconception(
    of=dora_keeps_its_output,
    statement=r"DoRA keeps no activation that LoRA does not keep.",
    source="teaching texts count parameters only; measured here in float64, 8 bytes a number",
)
def false_dora_keeps_no_more_than_lora(case: Case):
    return kept(case, DoRA(case.r)), kept(case, LoRA(case.r))


@claim(
    statement=r"A merged DoRA layer computes the same with the operations of the plain layer, $2n\,d_{out}d_{in}$ "
    r"(stacked: outputs, then operations).",
    source=f"{LIU}, section 4.1: no extra latency at inference",
    when="the layer is merged; in two paths every forward pass pays for the norms again",
)
def merged_dora_costs_nothing(case: Case):
    net, x = model(case, DoRA(case.r)), case.x(ROWS)
    before = net(x).flatten().detach()
    plain = merge(net)
    measured = torch.tensor([measured_flops(lambda: plain(x))], dtype=torch.float64)
    expected = torch.tensor([2 * ROWS * case.d_out * case.d_in], dtype=torch.float64)
    return torch.cat([plain(x).flatten(), measured]), torch.cat([before, expected])


@misconception(
    of=merged_dora_costs_nothing,
    statement=r"Inference with a DoRA adapter costs as much as the plain layer, merged or not.",
    source="a comparison table: “keeps inference overhead minimal”",
)
def false_unmerged_dora_costs_nothing(case: Case):
    flops = [forward_flops(case, DoRA(case.r)), torch.tensor(2 * ROWS * case.d_out * case.d_in)]
    return flops[0], flops[1]
