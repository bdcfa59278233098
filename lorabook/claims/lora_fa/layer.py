"""What a whole decoder layer keeps for backward when A is frozen: more than its adapters ask for."""

import torch
from torch import Tensor

from lorabook.axes.form.lora_fa import LoRAFA
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.recipe import Recipe
from lorabook.cost.count import layer_matrices
from lorabook.cost.kept_measured import kept_bytes
from lorabook.models.decoder import DecoderConfig, Layer, full

SHAPE = DecoderConfig()
TOKENS = 16
RANKS = (Case(SHAPE.hidden, SHAPE.hidden, 8), Case(SHAPE.hidden, SHAPE.hidden, 16))


def kept(recipe: Recipe | None = None) -> int:
    """Return the bytes that a layer of the book's shape keeps with this on its seven matrices, or with nothing."""
    layer = Layer(SHAPE, full).requires_grad_(False)
    if recipe is not None:
        inject(layer, recipe, "_proj", torch.Generator().manual_seed(0))
    h = torch.zeros(1, TOKENS, SHAPE.hidden, requires_grad=True) * 1.0  # no leaf, as in a model
    return sum(kept_bytes(layer, h).values())


@claim(
    statement=r"A whole decoder layer keeps under LoRA-FA what it keeps with nothing trained, and $Ax$: $r$ numbers a "
    r"token for each of its seven matrices.",
    source="measured on a layer of the book's model: the way back through attention, norms and silu reads its own",
    when="there is no dropout in front of A, and the layer is not computed again",
    tol=0,
    cases=RANKS,
)
def a_frozen_layer_keeps_its_own(case: Case):
    ax = TOKENS * case.r * len(layer_matrices(SHAPE)) * 4
    return _bytes(kept(LoRAFA(r=case.r))), _bytes(kept() + ax)


@misconception(
    of=a_frozen_layer_keeps_its_own,
    statement=r"Freezing $A$ saves half of the memory that LoRA keeps for backward.",
    source="a teaching text; true of one matrix alone, and a matrix is never alone: a layer saves a quarter",
)
def false_half_of_the_memory_goes(case: Case):
    return _bytes(kept(LoRAFA(r=case.r))), _bytes(kept(LoRA(r=case.r)) / 2)


def _bytes(size: float) -> Tensor:
    return torch.tensor(size, dtype=torch.float64)
