"""What the contenders are adapted to: a base, its batches, a score (lower is better), and what is forgotten."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lorabook.core.fit import cross_entropy, fit
from lorabook.core.training_step import Batch
from lorabook.models.convnet import ConvNet
from lorabook.models.load import load
from lorabook.models.loaded import Loaded
from lorabook.tasks import digits, facts, text


class Task(ABC):
    """One task. Everyone gets the same `steps` and, from one seed, the same batches.

    `targets` finds the layers to adapt; `loss` is trained on; `unit` is what the score counts.
    """

    name: str
    targets: str
    unit: str
    steps: int
    loss: Callable[[nn.Module, Batch], Tensor]

    @property
    @abstractmethod
    def base(self) -> nn.Module:
        """The model before adapting; copy it before you train."""

    @abstractmethod
    def stream(self, seed: int) -> Iterator[Batch]:
        """Return the batches of a seed, without end."""

    @abstractmethod
    def score(self, model: nn.Module) -> float:
        """Return the loss on what was not trained on, in `unit`; lower is better."""

    @abstractmethod
    def old(self, model: nn.Module) -> float:
        """Return the loss on what the base could do before, in nats: what it rises by is what was forgotten."""


class _OnTiny:
    """The shipped base and the text that it was trained on."""

    @cached_property
    def loaded(self) -> Loaded:
        return load("tiny")

    @cached_property
    def austen(self) -> text.Corpus:
        return text.corpus("austen", self.loaded.tokenizer)


_TINY = _OnTiny()


@final
class Text(Task):
    """A text, of which the base has not seen a word (kjv) or only other spellings (capitals)."""

    unit = "nats per token"
    targets = "_proj"
    steps, batch, length, pieces = 60, 4, 64, 48
    loss = staticmethod(text.language_loss)

    def __init__(self, name: str, corpus: Callable[[Loaded], text.Corpus]) -> None:
        self.name, self._corpus = name, corpus

    @cached_property
    def corpus(self) -> text.Corpus:
        return self._corpus(_TINY.loaded)

    @property
    def base(self) -> nn.Module:
        return _TINY.loaded.model

    def stream(self, seed: int) -> Iterator[Batch]:
        return text.batches(self.corpus, self.batch, self.length, torch.Generator().manual_seed(seed))

    def score(self, model: nn.Module) -> float:
        return text.evaluate(model, self.corpus, self.length, self.pieces).nats_per_token

    def old(self, model: nn.Module) -> float:
        return text.evaluate(model, _TINY.austen, self.length, self.pieces).nats_per_token


@final
class Facts(Task):
    """n facts to learn by heart, scored on the same facts: nothing that is not among them can be known.

    They are made of the tokens that the base has met most often: it cannot tell apart those that it has never met.
    """

    unit = "nats per value"
    targets = "_proj"
    steps, batch, known = 60, 128, 576
    loss = staticmethod(text.language_loss)

    def __init__(self, n: int) -> None:
        self.name, self.n = f"facts-{n}", n

    @cached_property
    def facts(self) -> facts.Facts:
        often = torch.bincount(_TINY.austen.train).argsort(descending=True, stable=True)[: self.known]
        return facts.facts(self.n, often, torch.Generator().manual_seed(0))

    @property
    def base(self) -> nn.Module:
        return _TINY.loaded.model

    def stream(self, seed: int) -> Iterator[Batch]:
        return facts.batches(self.facts, self.batch, torch.Generator().manual_seed(seed))

    def score(self, model: nn.Module) -> float:
        return float(facts.nats_per_value(model, self.facts))

    def old(self, model: nn.Module) -> float:
        return text.evaluate(model, _TINY.austen, 64, 48).nats_per_token


@final
class TurnedDigits(Task):
    """Digits lying on their side, for a convolutional net that has learnt to read them upright."""

    name = "digits"
    unit = "nats per picture"
    targets = "conv|head"
    steps, batch = 100, 64
    loss = staticmethod(cross_entropy)

    @cached_property
    def turned(self) -> digits.Digits:
        return digits.rotated(digits.digits())

    @cached_property
    def base(self) -> nn.Module:
        generator = torch.Generator().manual_seed(0)
        net = ConvNet(generator)
        fit(net, digits.batches(digits.digits(), 64, generator), steps=150, lr=3e-3, progress=False)
        return net

    def stream(self, seed: int) -> Iterator[Batch]:
        return digits.batches(self.turned, self.batch, torch.Generator().manual_seed(seed))

    def score(self, model: nn.Module) -> float:
        return _nats_per_picture(model, self.turned)

    def old(self, model: nn.Module) -> float:
        return _nats_per_picture(model, digits.digits())


@torch.no_grad()
def _nats_per_picture(model: nn.Module, pictures: digits.Digits) -> float:
    return F.cross_entropy(model(pictures.test_x), pictures.test_y).item()


TASKS: tuple[Task, ...] = (
    Text("kjv", lambda loaded: text.corpus("kjv", loaded.tokenizer)),
    Text("capitals", lambda loaded: text.uppercase_austen(loaded.tokenizer)),
    Facts(256),
    TurnedDigits(),
)
