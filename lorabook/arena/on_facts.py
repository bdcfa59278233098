"""Facts to learn by heart: what is learnt is counted in bits."""

from collections.abc import Iterator
from functools import cached_property
from typing import final

import torch
from torch import nn

from lorabook.arena.on_text import TINY
from lorabook.arena.task import Task
from lorabook.core.training_step import Batch
from lorabook.tasks import facts, text


@final
class Facts(Task):
    """n facts to learn by heart, scored on the same facts: nothing that is not among them can be known.

    They are made of the tokens that the base has met most often: it cannot tell apart those that it has never met.
    """

    unit = "nats per value"
    batch, known = 128, 576
    loss = staticmethod(text.language_loss)

    def __init__(self, name: str, n: int, targets: str = "_proj", steps: int = 60) -> None:
        self.name, self.n, self.targets, self.steps = name, n, targets, steps

    @cached_property
    def facts(self) -> facts.Facts:
        often = torch.bincount(TINY.austen.train).argsort(descending=True, stable=True)[: self.known]
        return facts.facts(self.n, often, torch.Generator().manual_seed(0))

    @property
    def base(self) -> nn.Module:
        return TINY.loaded.model

    def stream(self, seed: int) -> Iterator[Batch]:
        return facts.batches(self.facts, self.batch, torch.Generator().manual_seed(seed))

    def score(self, model: nn.Module) -> float:
        return float(facts.nats_per_value(model, self.facts))

    def old(self, model: nn.Module) -> float:
        return text.evaluate(model, TINY.austen, 64, 48).nats_per_token

    def more(self, model: nn.Module) -> dict[str, float]:
        return {"bits": facts.bits_learnt(self.facts, self.score(model))}
