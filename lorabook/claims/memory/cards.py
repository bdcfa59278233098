"""Which model fits on which card with QLoRA, and how much less than LoRA that is."""

import torch
from torch import Tensor

from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.memory.memory import GB, MUCH, PAGED, QLORA, RANK_64, gb, gigabytes, qlora, step
from lorabook.claims.unchecked import Unchecked
from lorabook.cost.count import LLAMA, linear_parameters
from lorabook.cost.memory import ADAMW, BF16, MIXED, Adapters, Batch, weight_bytes

ORDINARY = Batch(1, 2048)


def lora_everywhere(case: Case) -> Adapters:
    """Return the same adapters as QLoRA's, on a base in 16 bits."""
    return Adapters(case.r, "proj", BF16)


def share(part: float, whole: float) -> Tensor:
    """Return by how much a part is less than the whole."""
    return torch.tensor([1 - part / whole], dtype=torch.float64)


@claim(
    statement=r"65B fits on one card of 48 GB: 34.5 GB of weights, rank 64 on all matrices.",
    source=f"{QLORA}, abstract; the terms of lorabook.cost.memory",
    when="one sequence of 512 tokens, checkpointing, and pages of the optimiser's state in host memory",
    relation="<=",
    cases=RANK_64,
)
def sixty_five_billion_fit_into_48_gigabytes(case: Case):
    budget = step("65B", qlora(case), optimiser=PAGED)
    return gigabytes(budget.device, budget.weights + budget.constants), gb(48, 34.5)


@misconception(
    of=sixty_five_billion_fit_into_48_gigabytes,
    statement=r"… and no paging is needed: four bits are enough.",
    source="read into “65B on one GPU”; two fp32 moments for 0.8·10⁹ trained numbers are 6.4 GB more",
)
def false_sixty_five_billion_fit_without_paging(case: Case):
    budget = step("65B", qlora(case), optimiser=ADAMW)
    return gigabytes(budget.device, budget.weights + budget.constants), gb(48, 34.5)


@misconception(
    of=sixty_five_billion_fit_into_48_gigabytes,
    statement=r"… whatever the batch is and without checkpointing.",
    source="read into “65B on one GPU”: at four sequences of 2048 tokens activations alone take four such cards",
)
def false_sixty_five_billion_fit_with_any_batch(case: Case):
    budget = step("65B", qlora(case), MUCH, checkpointing=False, optimiser=PAGED)
    return gigabytes(budget.device, budget.weights + budget.constants), gb(48, 34.5)


@claim(
    statement=r"A card of 24 GB takes up to 33B (stacked: 7B, 13B, 33B).",
    source=f"{QLORA}, section 1; the terms of lorabook.cost.memory",
    when="33B needs one sequence of 512 tokens, checkpointing, and paging",
    relation="<=",
    cases=RANK_64,
)
def thirty_three_billion_fit_into_24_gigabytes(case: Case):
    names = "7B", "13B", "33B"
    return gigabytes(*(step(name, qlora(case), optimiser=PAGED).device for name in names)), gb(24, 24, 24)


@misconception(
    of=thirty_three_billion_fit_into_24_gigabytes,
    statement=r"QLoRA fine-tunes on a card of 24 GB, whatever the model.",
    source="a teaching text; the codes of 65B alone are 33 GB",
)
def false_every_model_fits_into_24_gigabytes(case: Case):
    names = "13B", "33B", "65B"
    return gigabytes(*(step(name, qlora(case), optimiser=PAGED).device for name in names)), gb(24, 24, 24)


@claim(
    statement=r"QLoRA takes about 58% less memory than LoRA (7B, the same adapters of rank 64 on all matrices).",
    source="the terms of lorabook.cost.memory; what is saved is 12.1 bits of each frozen weight, and nothing else",
    when="one sequence of 512 tokens with checkpointing; of the weights alone it is 71%, of their linear part 74%",
    tol=1e-3,
    cases=RANK_64,
)
def qlora_takes_60_percent_less(case: Case):
    return share(step("7B", qlora(case)).device, step("7B", lora_everywhere(case)).device), gb(0.5813)


@misconception(
    of=qlora_takes_60_percent_less,
    statement=r"QLoRA takes 60% less memory than LoRA, whatever is in flight.",
    source="a comparison table; with four sequences of 2048 tokens and no checkpointing it is 16%",
)
def false_qlora_takes_60_percent_less_always(case: Case):
    q, l16 = (step("7B", method(case), MUCH, checkpointing=False) for method in (qlora, lora_everywhere))
    return share(q.device, l16.device), gb(0.5813)


@claim(
    statement=r"Of 7B's weights alone NF4 with double quantisation saves 71%: 74% of the matrices, 0 of embedding, "
    r"head and norms (stacked: all, matrices).",
    source=f"{QLORA}, section 3: (16 − 4.127)/16 = 74.2%",
    tol=1e-3,
    cases=RANK_64,
)
def nf4_saves_71_percent_of_the_weights(case: Case):
    shape = LLAMA["7B"]
    stored, plain = (sum(weight_bytes(shape, m(case), MIXED)) for m in (qlora, lora_everywhere))
    rest = plain - 2 * linear_parameters(shape)
    return torch.cat([share(stored, plain), share(stored - rest, plain - rest)]), gb(0.7131, 0.74207)


@claim(
    statement=r"QLoRA's adapters cost what LoRA's do: 4, 4 and 8 bytes for the weight, the gradient and the moments of "
    r"each of $\sum r(d_{in}+d_{out})$ numbers (stacked: QLoRA, LoRA).",
    source=f"{QLORA}, section 3: four bits are a way to store what is frozen",
    tol=0,
    cases=RANK_64,
)
def only_the_weights_shrink(case: Case):
    return _trained_part(case), (gb(4, 4, 8) * _numbers_in_13b(case) / GB).expand(2, 3)


@misconception(
    of=only_the_weights_shrink,
    statement="QLoRA's adapters train in four bits as well.",
    source="read into “4-bit fine-tuning”; no optimiser could take a small step on 16 codes",
)
def false_adapters_are_in_four_bits(case: Case):
    q, l16 = gb(0.5, 0.5, 1), gb(4, 4, 8)
    return _trained_part(case), torch.stack([q, l16]) * _numbers_in_13b(case) / GB


def _trained_part(case: Case) -> Tensor:
    budgets = (step("13B", method(case), ORDINARY) for method in (qlora, lora_everywhere))
    return torch.stack([gigabytes(b.adapters, b.gradients, b.optimiser) for b in budgets])


def _numbers_in_13b(case: Case) -> int:
    return 40 * case.r * (4 * (5120 + 5120) + 3 * (5120 + 13824))


ALPACA = Unchecked(
    statement="LoRA was used in Alpaca.",
    source="a comparison table",
    reason="who trained what is read: Stanford Alpaca is full fine-tuning; Alpaca-LoRA is another project's copy of it",
)
YEARS = Unchecked(
    statement="The years of the papers in comparison tables (some of arXiv, some of the conference).",
    source="teaching texts",
    reason="a matter of citation: this book cites the year of the first arXiv version with its number",
)
