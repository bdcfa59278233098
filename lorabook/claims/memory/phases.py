"""What is held in training, and what in serving: two lists with nothing in common but the weights."""

import torch
from torch import Tensor

from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.memory.memory import LITTLE, RANK_8, ZERO, lora, step
from lorabook.cost.count import LLAMA
from lorabook.cost.memory import MIXED, serving


@claim(
    statement=r"Training holds gradients, optimiser states and activations, and no keys and values of earlier tokens; "
    r"serving holds those, and none of the three.",
    source=f"{ZERO}; Kwon et al. 2023 (2309.06180), section 3",
    when="the optimiser's states are counted with the gradients: both are needed for training only",
    tol=0,
    cases=RANK_8,
)
def each_phase_holds_its_own(case: Case):
    return _in_memory(case), torch.tensor([[1.0, 1, 1, 0], [0, 0, 0, 1]])


@misconception(
    of=each_phase_holds_its_own,
    statement="Training and inference both hold gradients, optimiser states, activations and a KV cache.",
    source="a list in a teaching text, read without its two brackets",
)
def false_both_phases_hold_everything(case: Case):
    return _in_memory(case), torch.ones(2, 4)


def _in_memory(case: Case) -> Tensor:
    budgets = step("7B", lora(case)), serving(LLAMA["7B"], lora(case), MIXED, LITTLE, adapters=1)
    return torch.tensor([[float(x > 0) for x in (b.gradients, b.optimiser, b.activations, b.kv)] for b in budgets])
