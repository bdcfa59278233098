"""Gigabytes in circulation, each computed term by term: what 7B, 65B and 70B take, and under which conditions.

1 GB is 10⁹ bytes. Shapes are LLaMA's; the rank is the case's. The CUDA context is in no number.
"""

import torch
from torch import Tensor

from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.cost.count import LLAMA, decoder_parameters
from lorabook.cost.memory import (
    ADAMW,
    BF16,
    GIB,
    MIXED,
    NF4_DOUBLE,
    Adapters,
    Batch,
    Budget,
    FullFineTuning,
    Method,
    Optimiser,
    Precision,
    training,
    weight_bytes,
)

QLORA = "Dettmers et al. 2023 (2305.14314)"
ZERO = "Rajbhandari et al. 2019 (1910.02054), section 3.1"
RANK_8, RANK_32, RANK_64 = ((Case(4096, 4096, r),) for r in (8, 32, 64))
GB = 1e9
LITTLE, MUCH = Batch(1, 512), Batch(4, 2048)
PAGED = Optimiser(state=8, paged=True)


def step(
    name: str, method: Method, batch: Batch = LITTLE, checkpointing: bool = True, optimiser: Optimiser = ADAMW
) -> Budget:
    """Return the budget of a training step of a LLaMA in mixed precision."""
    return training(LLAMA[name], method, MIXED, optimiser, batch, checkpointing=checkpointing)


def lora(case: Case) -> Adapters:
    """Return LoRA on the queries and values of a base in 16 bits, as in the paper."""
    return Adapters(case.r, "q_proj|v_proj", BF16)


def qlora(case: Case) -> Adapters:
    """Return LoRA on all seven matrices of a base in NF4 with double quantisation."""
    return Adapters(case.r, "proj", NF4_DOUBLE)


def gigabytes(*sizes: float) -> Tensor:
    """Return bytes as GB."""
    return torch.tensor([size / GB for size in sizes], dtype=torch.float64)


def each(weights: float) -> float:
    """Return the bytes of one parameter of the 70B model, whose round name is 70·10⁹."""
    return weights / decoder_parameters(LLAMA["70B"])


def gb(*sizes: float) -> Tensor:
    """Return numbers that are GB already."""
    return torch.tensor(sizes, dtype=torch.float64)


@claim(
    statement=r"$70\cdot10^9$ weights of 2 bytes are 140 GB, which is 130.4 GiB (stacked).",
    source="arithmetic; 1 GB is 10⁹ bytes and 1 GiB is 2³⁰",
    tol=1e-4,
    cases=RANK_8,
)
def seventy_billion_weights_in_both_units(case: Case):
    size = 70e9 * each(weight_bytes(LLAMA["70B"], FullFineTuning(), MIXED)[0])
    return torch.tensor([size / GB, size / GIB], dtype=torch.float64), gb(140, 130.385)


@misconception(
    of=seventy_billion_weights_in_both_units,
    statement=r"$140\cdot10^9$ bytes are about 130.4 GB.",
    source="a teaching text divides by 1024³ and writes GB: the number is right, the unit is not",
)
def false_a_gibibyte_is_a_gigabyte(case: Case):
    size = 70e9 * each(weight_bytes(LLAMA["70B"], FullFineTuning(), MIXED)[0])
    return torch.tensor([size / GB, size / GB], dtype=torch.float64), gb(140, 130.385)


@claim(
    statement=r"Full fine-tuning takes 16 bytes a parameter (weight 2, gradient 2, master copy 4, two moments 8): "
    r"1.12 TB at $70\cdot10^9$, before activations.",
    source=ZERO,
    tol=1e-3,
    cases=RANK_8,
)
def full_fine_tuning_takes_sixteen_bytes(case: Case):
    budget = step("70B", FullFineTuning())
    states = budget.weights + budget.gradients + budget.optimiser
    return gb(each(states), 70 * each(states)), gb(16, 1120)


@misconception(
    of=full_fine_tuning_takes_sixteen_bytes,
    statement=r"Full fine-tuning of 70B in FP16 takes 140 GB.",
    source="a teaching text; that is the weights alone, enough to load the model and not to train it",
)
def false_full_fine_tuning_takes_two_bytes(case: Case):
    budget = step("70B", FullFineTuning())
    states = budget.weights + budget.gradients + budget.optimiser
    return gb(each(states), 70 * each(states)), gb(2, 140)


@claim(
    statement=r"Full fine-tuning of 70B takes more than 1 TB.",
    source=f"{ZERO}, and the terms of lorabook.cost.memory",
    relation="<=",
    cases=RANK_8,
)
def seventy_billion_take_a_terabyte(case: Case):
    return gb(1000), gigabytes(step("70B", FullFineTuning()).device)


@claim(
    statement=r"LoRA on 70B in 16 bits holds $W_0$ whole: at least 138 GB, however few numbers train.",
    source="Hu et al. 2021 (2106.09685), section 4.1: frozen is not absent",
    relation="<=",
    cases=RANK_8,
)
def lora_holds_the_whole_base(case: Case):
    return gb(137.9), gigabytes(step("70B", lora(case)).device)


@misconception(
    of=lora_holds_the_whole_base,
    statement=r"LoRA fine-tunes 70B in about 40 GB.",
    source="a comparison table; 40 GB would be 4.6 bits a weight, so the base would be quantised",
)
def false_lora_trains_seventy_billion_in_40_gigabytes(case: Case):
    return gigabytes(step("70B", lora(case)).device), gb(40)


@claim(
    statement=r"QLoRA on 70B fits into 48 GB with rank 64 on all matrices; 36.4 GB of it are $W_0$ (stacked).",
    source=f"{QLORA}, section 3, and the terms of lorabook.cost.memory",
    when="one sequence of 512 tokens, checkpointing, and the optimiser's state in host memory",
    relation="<=",
    cases=RANK_64,
)
def qlora_fits_seventy_billion_into_48_gigabytes(case: Case):
    budget = step("70B", qlora(case), optimiser=PAGED)
    return gigabytes(budget.device, 36.3e9), torch.tensor(
        [48.0, (budget.weights + budget.constants) / GB], dtype=torch.float64
    )


@misconception(
    of=qlora_fits_seventy_billion_into_48_gigabytes,
    statement=r"QLoRA fine-tunes 70B in about 10 GB.",
    source="a comparison table; 10 GB would be 1.14 bits a weight",
)
def false_qlora_fits_seventy_billion_into_10_gigabytes(case: Case):
    budget = step("70B", qlora(case), optimiser=PAGED)
    return gigabytes(budget.device, budget.weights), gb(10, 10)


@claim(
    statement=r"Full fine-tuning of 7B takes 120 GB: 107.8 of state, 10.1 of activations, 0.5 of logits; 118.4 in "
    r"all (stacked: sum, state).",
    source=f"{ZERO}; Stanford Alpaca's notes say 112 GB for the state, at 7·10⁹ parameters",
    when="mixed precision, with one sequence of 2048 tokens and no checkpointing",
    tol=1e-3,
    cases=RANK_8,
)
def full_fine_tuning_of_7b_takes_120_gigabytes(case: Case):
    budget = step("7B", FullFineTuning(), Batch(1, 2048), checkpointing=False)
    return gigabytes(budget.device, budget.weights + budget.gradients + budget.optimiser), gb(118.41, 107.81)


@misconception(
    of=full_fine_tuning_of_7b_takes_120_gigabytes,
    statement=r"… with everything in FP16, moments too.",
    source="a teaching text: “FP16, with optimizer states”; that is 8 bytes a parameter, 54 GB",
)
def false_everything_in_fp16_takes_120_gigabytes(case: Case):
    half = Precision(weight=2, gradient=2, master=0, activation=2)
    budget = training(LLAMA["7B"], FullFineTuning(), half, Optimiser(4), Batch(1, 2048), checkpointing=False)
    return gigabytes(budget.device, budget.weights + budget.gradients + budget.optimiser), gb(118.41, 107.81)


@claim(
    statement=r"LoRA on 7B takes 13.9 GB, 13.5 GB of them $W_0$ (stacked).",
    source="the terms of lorabook.cost.memory; rank 8 on queries and values",
    when="one sequence of 512 tokens with checkpointing: more of them, and activations are the largest term",
    tol=1e-3,
    cases=RANK_8,
)
def lora_on_7b_takes_14_gigabytes(case: Case):
    budget = step("7B", lora(case))
    return gigabytes(budget.device, budget.weights), gb(13.87, 13.477)


@misconception(
    of=lora_on_7b_takes_14_gigabytes,
    statement=r"LoRA on 7B takes 14 GB, whatever the batch is.",
    source="a teaching text counts the weights alone; four sequences of 2048 without checkpointing take 48 GB",
)
def false_lora_on_7b_takes_14_gigabytes_always(case: Case):
    budget = step("7B", lora(case), MUCH, checkpointing=False)
    return gigabytes(budget.device, budget.weights), gb(13.87, 13.477)


@claim(
    statement=r"QLoRA on 7B fits into 6 GB, 3.87 GB of them $W_0$ (stacked; rank 32 on all matrices).",
    source=f"{QLORA}, section 3, and the terms of lorabook.cost.memory",
    when="one sequence of 512 tokens with checkpointing",
    relation="<=",
    cases=RANK_32,
)
def qlora_fits_7b_into_6_gigabytes(case: Case):
    budget = step("7B", qlora(case))
    return gigabytes(budget.device, budget.weights + budget.constants), gb(6, 3.87)


@misconception(
    of=qlora_fits_7b_into_6_gigabytes,
    statement=r"QLoRA on 7B fits into 6 GB, whatever the batch is.",
    source="a teaching text; activations and logits are not quantised",
)
def false_qlora_fits_7b_into_6_gigabytes_always(case: Case):
    budget = step("7B", qlora(case), MUCH, checkpointing=False)
    return gigabytes(budget.device, budget.weights + budget.constants), gb(6, 3.87)
