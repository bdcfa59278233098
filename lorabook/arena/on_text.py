"""A text to learn, by a language model that has not read it."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import final

import torch
from torch import nn

from lorabook.arena.task import Task
from lorabook.core.training_step import Batch
from lorabook.models.load import fastest, load
from lorabook.models.loaded import Loaded
from lorabook.models.vocabulary import Vocabulary
from lorabook.tasks import text


@final
class LanguageModel:
    """A base, loaded when it is asked for, and Austen in its tokens: what the shipped base was trained on."""

    def __init__(self, name: str, device: Callable[[], str] = lambda: "cpu") -> None:
        self.name, self._device = name, device

    @property
    def device(self) -> str:
        """Where it is loaded: on this machine, now."""
        return self._device()

    @cached_property
    def loaded(self) -> Loaded:
        return load(self.name, self.device)

    @cached_property
    def austen(self) -> text.Corpus:
        return text.corpus("austen", self.loaded.tokenizer)


TINY = LanguageModel("tiny")
SMOLLM2 = LanguageModel("smollm2", fastest)


def kjv(tokenizer: Vocabulary) -> text.Corpus:
    """Return the King James Bible in tokens."""
    return text.corpus("kjv", tokenizer)


@final
class Text(Task):
    """`steps` steps of `batch` pieces of `length` tokens; scored on `pieces` pieces of the validation text."""

    unit = "nats per token"
    targets = "_proj"
    loss = staticmethod(text.language_loss)

    def __init__(
        self, name: str, corpus: Callable[[Vocabulary], text.Corpus], on: LanguageModel = TINY,
        steps: int = 60, batch: int = 4, length: int = 64, pieces: int = 48, seeds: int = 10,
    ) -> None:  # fmt: skip
        self.name, self._corpus, self.on = name, corpus, on
        self.steps, self.batch, self.length, self.pieces, self.seeds = steps, batch, length, pieces, seeds

    @cached_property
    def corpus(self) -> text.Corpus:
        return self._corpus(self.on.loaded.tokenizer)

    @property
    def base(self) -> nn.Module:
        return self.on.loaded.model

    def stream(self, seed: int) -> Iterator[Batch]:
        return text.batches(self.corpus, self.batch, self.length, torch.Generator().manual_seed(seed))

    def score(self, model: nn.Module) -> float:
        return text.evaluate(model, self.corpus, self.length, self.pieces).nats_per_token

    def old(self, model: nn.Module) -> float:
        return text.evaluate(model, self.on.austen, self.length, self.pieces).nats_per_token

    def more(self, model: nn.Module) -> dict[str, float]:
        return {}
