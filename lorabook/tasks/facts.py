"""Facts to learn by heart: pairs key → value that nothing explains, so that what is learnt can be counted in bits.

A fact is three tokens, k₁ k₂ → v. Keys are different pairs of tokens, values are drawn evenly from `VALUES` tokens, so
that a fact holds log₂ VALUES bits and no fact helps with another. Only the values are scored.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lorabook.core.modes import evaluating
from lorabook.core.whole_number import refuse_unless_whole
from lorabook.tasks.text import language_loss

VALUES = 64
IGNORED = -100
"""The target of a position that is not scored, as torch's cross_entropy has it."""


@dataclass(frozen=True)
class Facts:
    """n facts: two tokens of the key, and the token of the value."""

    table: Int[Tensor, "n 3"]

    @property
    def bits(self) -> float:
        """What all facts hold together: n·log₂ VALUES."""
        return len(self.table) * math.log2(VALUES)


def facts(n: int, vocab: int, generator: torch.Generator) -> Facts:
    """Draw n facts over a vocabulary.

    Raises:
        ValueError: n is below 1, or there are not so many keys.
    """
    refuse_unless_whole("number of facts n", n)
    keys = (vocab - VALUES) ** 2
    if vocab <= VALUES or n > keys:
        raise ValueError(f"{n} facts over {vocab} tokens: {VALUES} of them are values, so {max(0, keys)} keys are left")
    key = torch.randperm(keys, generator=generator)[:n]
    value = torch.randint(VALUES, (n,), generator=generator)
    return Facts(torch.stack([VALUES + key // (vocab - VALUES), VALUES + key % (vocab - VALUES), value], dim=1))


def batches(facts: Facts, batch: int, per_row: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Give rows of facts for ever, no fact twice in one: tokens, and the value as target of each second key token.

    Raises:
        ValueError: a row would hold more facts than there are.
    """
    n = len(facts.table)
    if per_row > n:
        raise ValueError(f"a row of {per_row} facts out of {n}: a fact would stand in it twice")
    while True:
        rows = torch.stack([torch.randperm(n, generator=generator)[:per_row] for _ in range(batch)])
        yield _scored(facts.table[rows])


@torch.no_grad()
def nats_per_value(model: nn.Module, facts: Facts, per_row: int) -> Float[Tensor, ""]:
    """Return −mean log p(value | the facts before it in its row, its key) in nats, over every fact once."""
    device = next(model.parameters()).device
    total = torch.zeros(())
    with evaluating(model):
        for row in facts.table.split(per_row):
            tokens, targets = _scored(row[None])
            total += language_loss(model, (tokens.to(device), targets.to(device))).cpu() * len(row)
    return total / len(facts.table)


def bits_learnt(facts: Facts, nats: float) -> float:
    """Return how many bits of the facts a model holds that needs so many nats a value: n·(log₂ VALUES − nats/ln 2)."""
    return facts.bits - len(facts.table) * nats / math.log(2)


def _scored(rows: Int[Tensor, "batch per_row 3"]) -> tuple[Int[Tensor, "batch length"], Int[Tensor, "batch length"]]:
    tokens = rows.flatten(1)
    targets = torch.full_like(rows, IGNORED)
    targets[:, :, 1] = rows[:, :, 2]
    return tokens, targets.flatten(1)
