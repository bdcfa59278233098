"""What a lower rank does against a full card, and what does more; which models 16 GB can take."""

from dataclasses import replace

import torch
from torch import Tensor

from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.unchecked import Unchecked
from lorabook.cost.count import LLAMA, saved_bytes
from lorabook.cost.memory import ADAMW, BF16, MIXED, NF4_DOUBLE, Adapters, Batch, Budget, training
from lorabook.models.decoder import Decoder, DecoderConfig
from lorabook.models.recompute import recomputed

SEVEN = (Case(4096, 4096, 16),)
GB = 1e9
CONFIG = DecoderConfig(vocab=11, hidden=16, layers=4, heads=2, kv_heads=2, d_head=8, ffn=24, context=16)


def step(name: str, method: Adapters, batch: Batch, *, checkpointing: bool = False) -> Budget:
    """Return what a training step of a LLaMA shape holds."""
    return training(LLAMA[name], method, MIXED, ADAMW, batch, checkpointing=checkpointing)


def saved(case: Case) -> Tensor:
    """Return what 7B saves (GB) if the rank, the length, the kept activations or the bits of W₀ are cut."""
    method, batch = Adapters(case.r, "_proj", BF16), Batch(4, 1024)
    now = step("7B", method, batch).device
    cut = [
        step("7B", replace(method, r=case.r // 4), batch),
        step("7B", method, Batch(4, 512)),
        step("7B", method, batch, checkpointing=True),
        step("7B", replace(method, base=NF4_DOUBLE), batch),
    ]
    return torch.tensor([(now - budget.device) / GB for budget in cut])


@claim(
    statement=r"LLaMA-7B, all matrices: from $r=16$ to 4 the state of the adapters (16 bytes a number: weight, "
    r"gradient, two moments) shrinks by 0.48 GB, 3.6% of the weights' 13.5 GB.",
    source="16·29,982,720 bytes; 12 bytes a number, 0.36 GB, if the weight is not counted",
    cases=SEVEN,
    tol=1e-6,
)
def a_lower_rank_saves_half_a_gigabyte(case: Case):
    high, low = (step("7B", Adapters(r, "_proj", BF16), Batch(1, 1)) for r in (case.r, case.r // 4))
    state = [b.adapters + b.gradients + b.optimiser for b in (high, low)]
    cut = state[0] - state[1]
    by_hand = 16 * 29_982_720
    return torch.tensor([cut / GB, cut / high.weights]), torch.tensor([by_hand / GB, by_hand / (2 * 6_738_415_616)])


@misconception(
    of=a_lower_rank_saves_half_a_gigabyte,
    statement=r"Out of memory? A quarter of the rank is a quarter of the memory.",
    source="a teaching text's first cure; W₀ and the activations do not ask for r",
)
def false_a_quarter_of_the_rank_is_a_quarter_of_the_memory(case: Case):
    saving, _ = a_lower_rank_saves_half_a_gigabyte.sides(case)
    return saving, torch.tensor([0.75 * 13.5, 0.75])


@claim(
    statement=r"Half the length, checkpointing, or four bits for $W_0$ each save over five times what a quarter of the "
    r"rank does.",
    source="LLaMA-7B in 16 bits, all matrices, four texts of 1024 tokens",
    relation="<=",
    cases=SEVEN,
    when="activations are not checkpointed yet",
)
def other_cures_save_more_than_the_rank(case: Case):
    rank, *others = saved(case)
    return 5 * rank.expand(3), torch.stack(others)


@misconception(
    of=other_cures_save_more_than_the_rank,
    statement="The rank is the first lever against a full card.",
    source="a teaching text",
)
def false_the_rank_is_the_first_lever(case: Case):
    rank, *others = saved(case)
    return torch.stack(others), rank.expand(3)


@claim(
    statement=r"A card of 16 GB takes QLoRA on 7B (all matrices, $r=16$, 512 tokens, checkpointing).",
    source="3.9 GB of weights, 0.6 GB of adapter state, activations",
    relation="<=",
    cases=SEVEN,
    when="the model is 7B or 13B; 33B in four bits is larger than the card",
)
def sixteen_gigabytes_take_7b_and_13b(case: Case):
    return _on_16(case, ("7B", "13B")), torch.full((2,), 16.0)


@misconception(
    of=sixteen_gigabytes_take_7b_and_13b,
    statement="A card under 16 GB? QLoRA, whatever the model.",
    source="a selection guide in circulation",
)
def false_sixteen_gigabytes_take_any_model(case: Case):
    return _on_16(case, ("33B", "65B")), torch.full((2,), 16.0)


def _on_16(case: Case, names: tuple[str, ...]) -> Tensor:
    """Return the gigabytes of a QLoRA step."""
    method = Adapters(case.r, "_proj", NF4_DOUBLE)
    return torch.tensor([step(name, method, Batch(1, 512), checkpointing=True).device / GB for name in names])


@claim(
    statement=r"Checkpointing keeps less than half for the backward pass (measured on a decoder of four layers).",
    source="Chen, Xu, Zhang, Guestrin 2016 (1604.06174), section 4",
    relation="<=",
    cases=(Case(16, 16, 4),),
    when="one more forward pass is cheaper than the memory",
)
def checkpointing_keeps_less_than_half(case: Case):
    model, tokens = Decoder(CONFIG), torch.arange(10)[None]
    plain = saved_bytes(lambda: model(tokens))
    with recomputed(model):
        light = saved_bytes(lambda: model(tokens))
    return torch.tensor(float(light)), torch.tensor(plain / 2)


@misconception(
    of=checkpointing_keeps_less_than_half,
    statement="It keeps nothing at all: everything is computed again.",
    source="the input of every layer is kept, or there would be nothing to compute from",
)
def false_checkpointing_keeps_nothing(case: Case):
    return checkpointing_keeps_less_than_half.sides(case)[0], torch.tensor(0.0)


WHICH_VARIANT = Unchecked(
    statement="Use this variant here, that one there; r = 16 and α = 32 by default.",
    source="a selection guide in a teaching text",
    reason="advice: it names no quantity, task or budget that a run could confirm or refute",
)
NOT_FOR_EVERYTHING = Unchecked(
    statement="LoRA is no universal replacement for full fine-tuning.",
    source="a teaching text; Biderman et al. 2024 (2405.09673): LoRA learns less and forgets less on code and "
    "mathematics",
    reason="a finding about large models on long training runs; no small task here stands for every task",
)
