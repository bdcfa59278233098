"""What the patients of the clinic learn: the Bible, one page of it, facts."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from itertools import count
from typing import final

import torch
from torch import nn

from lorabook.arena.on_text import TINY
from lorabook.arena.tasks import KJV, Facts
from lorabook.core.training_step import Batch
from lorabook.tasks import facts, text

LENGTH, PIECES = 64, 8
ANSWER = 4
"""Every so many steps a text from before has its turn, where it is asked for."""


class Lesson(ABC):
    """Batches to train on, and the loss that tells whether it was learned."""

    @abstractmethod
    def stream(self, seed: int) -> Iterator[Batch]:
        """Return the batches of a seed, without end."""

    @abstractmethod
    def score(self, model: nn.Module) -> float:
        """Return the loss that training is for, in nats; lower is better."""


@final
class Verses(Lesson):
    """The Bible, or `tokens` of it from `first` on; scored on verses that are in neither."""

    def __init__(self, first: int = 0, tokens: int | None = None) -> None:
        self.part = slice(first, None if tokens is None else first + tokens)

    def stream(self, seed: int) -> Iterator[Batch]:
        part = replace(KJV.corpus, train=KJV.corpus.train[self.part])
        return text.batches(part, KJV.batch, LENGTH, torch.Generator().manual_seed(seed))

    def score(self, model: nn.Module) -> float:
        return text.evaluate(model, KJV.corpus, LENGTH, PIECES).nats_per_token


@final
class ByHeart(Lesson):
    """n facts, `batch` a step; scored on the same facts, for nobody could know others."""

    def __init__(self, n: int, batch: int) -> None:
        self.task, self.batch = Facts(f"facts-{n}", n), batch

    def stream(self, seed: int) -> Iterator[Batch]:
        return facts.batches(self.task.facts, self.batch, torch.Generator().manual_seed(seed))

    def score(self, model: nn.Module) -> float:
        return self.task.score(model)


class _Old:
    """Austen, which the base has read: batches for the turn of what was before, and pieces to measure drift on."""

    @cached_property
    def pieces(self) -> torch.Tensor:
        val = TINY.austen.val
        starts = torch.linspace(0, len(val) - LENGTH, PIECES).long()
        return val[starts[:, None] + torch.arange(LENGTH)]


OLD = _Old()


def in_turn(lesson: Iterator[Batch], seed: int) -> Iterator[Batch]:
    """Yield the lesson's batches, and Austen in the place of every fourth."""
    old = text.batches(TINY.austen, KJV.batch, LENGTH, torch.Generator().manual_seed(seed))
    for step in count(1):
        yield next(old if step % ANSWER == 0 else lesson)
