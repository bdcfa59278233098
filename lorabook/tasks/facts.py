"""Facts to learn by heart: pairs key → value that nothing explains, so that what is learnt can be counted in bits.

A fact is three tokens, k₁ k₂ → v; a model reads the key and is scored on the token that follows. Keys are different
pairs of tokens, values are drawn evenly from `VALUES` tokens, so that a fact holds log₂ VALUES bits and no fact helps
with another.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lorabook.core.batch import IGNORED
from lorabook.core.modes import evaluating
from lorabook.core.whole_number import refuse_unless_whole
from lorabook.tasks.text import language_loss

VALUES = 64


@dataclass(frozen=True)
class Facts:
    """n facts: two tokens of the key, and the token of the value."""

    table: Int[Tensor, "n 3"]

    @property
    def bits(self) -> float:
        """What all facts hold together: n·log₂ VALUES."""
        return len(self.table) * math.log2(VALUES)


def facts(n: int, tokens: Int[Tensor, " vocab"], generator: torch.Generator) -> Facts:
    """Draw n facts; the first `VALUES` of the tokens are values, the others stand in keys.

    A base knows how to tell tokens apart that it has been trained on; take those, or the facts measure something else.

    Raises:
        ValueError: n is below 1, or there are not so many keys.
    """
    refuse_unless_whole("number of facts n", n)
    values, others = tokens[:VALUES], tokens[VALUES:]
    keys = len(others) ** 2
    if n > keys:
        raise ValueError(f"{n} facts over {len(tokens)} tokens: {VALUES} of them are values, so {keys} keys are left")
    key = torch.randperm(keys, generator=generator)[:n]
    value = torch.randint(VALUES, (n,), generator=generator)
    return Facts(torch.stack([others[key // len(others)], others[key % len(others)], values[value]], dim=1))


def batches(facts: Facts, batch: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Give facts for ever, none twice in a batch: keys, and the value as target of each second key token.

    Raises:
        ValueError: a batch would hold more facts than there are.
    """
    n = len(facts.table)
    if batch > n:
        raise ValueError(f"a batch of {batch} facts out of {n}: a fact would stand in it twice")
    while True:
        yield _scored(facts.table[torch.randperm(n, generator=generator)[:batch]])


@torch.no_grad()
def nats_per_value(model: nn.Module, facts: Facts) -> Float[Tensor, ""]:
    """Return −mean log p(value | key) in nats, over every fact once."""
    device = next(model.parameters()).device
    total = torch.zeros(())
    with evaluating(model):
        for some in facts.table.split(256):
            keys, targets = _scored(some)
            total += language_loss(model, (keys.to(device), targets.to(device))).cpu() * len(some)
    return total / len(facts.table)


def bits_learnt(facts: Facts, nats: float) -> float:
    """Return how many bits of the facts a model holds that needs so many nats a value: n·(log₂ VALUES − nats/ln 2)."""
    return facts.bits - len(facts.table) * nats / math.log(2)


def _scored(some: Int[Tensor, "n 3"]) -> tuple[Int[Tensor, "n 2"], Int[Tensor, "n 2"]]:
    return some[:, :2], torch.stack([torch.full_like(some[:, 2], IGNORED), some[:, 2]], dim=1)
