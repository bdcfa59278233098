"""How many numbers LoRA trains, by formula, by measurement and at the sizes that people quote."""

import torch
from torch import Tensor, nn

from lorabook.axes.base.qlora import QLoRA
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA, LowRankForm
from lorabook.core.recipe import Recipe
from lorabook.cost.count import LLAMA, decoder_parameters, lora_parameters, trainable
from lorabook.models.decoder import Decoder, DecoderConfig

SEVEN = "7B"
LLAMA_7B = (Case(4096, 4096, 16),)
GPT3 = (Case(12288, 12288, 4),)
SMALL = DecoderConfig(vocab=11, hidden=16, layers=2, heads=4, kv_heads=2, d_head=4, ffn=24, context=8)
RANKS = (Case(16, 16, 1), Case(16, 16, 3), Case(16, 16, 8))
QV, QKVO, ALL = "q_proj|v_proj", "[qkvo]_proj", "_proj"
HU = "Hu et al. 2021 (2106.09685)"


def trained_on_one(case: Case, recipe: Recipe) -> Tensor:
    """Return how many numbers one d_out × d_in layer trains, counted on the layer."""
    model = nn.Sequential(nn.Linear(case.d_in, case.d_out, dtype=torch.float64))
    inject(model, recipe, "0", case.generator("A"))
    return torch.tensor(trainable(model))


def of_7b(case: Case, targets: str) -> Tensor:
    """Return the share of LLaMA-7B's numbers that LoRA trains, in percent: it says their count too."""
    count = lora_parameters(LLAMA[SEVEN], case.r, targets)
    return percent(count, decoder_parameters(LLAMA[SEVEN]))


def percent(part: float, whole: float) -> Tensor:
    """Return a share in percent."""
    return torch.tensor(100 * part / whole, dtype=torch.float64)


@claim(
    statement=r"LoRA trains $r(d_{in}+d_{out})$ numbers in place of $d_{in}d_{out}$.",
    source=f"{HU}, section 4.1",
    tol=0,
)
def lora_trains_r_times_both_sides(case: Case):
    return trained_on_one(case, LoRA(case.r)), torch.tensor(case.r * (case.d_in + case.d_out))


@misconception(
    of=lora_trains_r_times_both_sides,
    statement=r"LoRA trains $2rd$ numbers, $d$ the model's width, whatever the shape.",
    source="a formula for square matrices, used for k and v with fewer heads and for the wide matrices of the MLP",
)
def false_lora_trains_two_r_d(case: Case):
    return trained_on_one(case, LoRA(case.r)), torch.tensor(2 * case.r * case.d_in)


@claim(
    statement=r"For a decoder it is $\sum r(d_{in}+d_{out})$ over layers and targets: counted on the model (stacked: q "
    r"and v; q, k, v, o; all seven).",
    source=f"{HU}, section 4.2",
    cases=RANKS,
    tol=0,
)
def a_decoder_trains_the_sum(case: Case):
    counted = []
    for targets in (QV, QKVO, ALL):
        model = Decoder(SMALL)
        inject(model, LoRA(case.r), targets)
        counted.append(trainable(model))
    return torch.tensor(counted), torch.tensor([lora_parameters(SMALL, case.r, targets) for targets in (QV, QKVO, ALL)])


@claim(
    statement=r"LLaMA-7B, $r=16$, q and v: 8,388,608 numbers, 0.1245% of 6,738,415,616.",
    source="2·32·16·(4096 + 4096)",
    cases=LLAMA_7B,
    tol=1e-12,
)
def q_and_v_of_7b(case: Case):
    return of_7b(case, QV), percent(8_388_608, 6_738_415_616)


@claim(
    statement=r"LLaMA-7B, $r=16$, q, k, v, o: 16,777,216 numbers, 0.249%.",
    source="4·32·16·(4096 + 4096)",
    cases=LLAMA_7B,
    tol=1e-12,
)
def q_k_v_and_o_of_7b(case: Case):
    return of_7b(case, QKVO), percent(16_777_216, 6_738_415_616)


@claim(
    statement=r"LLaMA-7B, $r=16$, all seven matrices: 39,976,960 numbers, 0.593%.",
    source="32·16·(4·8192 + 3·15104)",
    when="the share is one of all 6,738,415,616 numbers; of a rounded 6.7 billion it is 0.597%",
    cases=LLAMA_7B,
    tol=1e-12,
)
def all_matrices_of_7b(case: Case):
    return of_7b(case, ALL), percent(39_976_960, 6_738_415_616)


@misconception(
    of=all_matrices_of_7b,
    statement="It is 40.0 million and 0.60%.",
    source="a teaching text; 40.0 is right, and 0.60% is the share of 6.7 billion, not of the 6.738 that the model has",
)
def false_all_matrices_are_sixty_hundredths(case: Case):
    return of_7b(case, ALL), percent(0.60, 100)


@claim(
    statement="QLoRA trains as many numbers as LoRA: only the base is stored in fewer bits.",
    source="Dettmers et al. 2023 (2305.14314), equation 5",
    tol=0,
)
def qlora_trains_as_many_as_lora(case: Case):
    return trained_on_one(case, QLoRA(case.r)), torch.tensor(LowRankForm().count(case.d_out, case.d_in, case.r))


@misconception(
    of=qlora_trains_as_many_as_lora,
    statement="QLoRA is twice as parameter-efficient as LoRA.",
    source="a comparison table that gives it two ticks where LoRA has one",
)
def false_qlora_trains_half_of_lora(case: Case):
    return trained_on_one(case, QLoRA(case.r)), trained_on_one(case, LoRA(case.r)) / 2


@claim(
    statement=r"A task on GPT-3 is an adapter of 18,874,368 numbers ($r=4$, q and v of 96 layers), 36 MiB in 16 bits, "
    r"and not a second model of 350 GB.",
    source=f"{HU}, section 4.2, which prints 35 MB",
    cases=GPT3,
    tol=0,
)
def an_adapter_of_gpt3_is_36_mebibytes(case: Case):
    count = 96 * 2 * LowRankForm().count(case.d_out, case.d_in, case.r)
    return torch.tensor([count, 2 * count]), torch.tensor([18_874_368, 36 * 2**20])


@misconception(
    of=an_adapter_of_gpt3_is_36_mebibytes,
    statement="Every task needs a fully fine-tuned model of its own: 175 billion numbers, 350 GB.",
    source="true before adapters",
)
def false_every_task_needs_its_own_model(case: Case):
    return an_adapter_of_gpt3_is_36_mebibytes.sides(case)[0], torch.tensor([175_000_000_000, 350_000_000_000])
