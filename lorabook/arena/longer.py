"""Texts four times as long as the model's: what trains, and who looks at whom meanwhile, and what comes of it.

Two worlds. `Novels`: the book's base, which knows 256 tokens of Austen, is to read 1,024. `Recall`: a small decoder
that knows 64 tokens is to read 256, where four answers in ten lie farther back than a group. In both, positions are
interpolated, groups are a quarter of the text, and in the end everybody reads with full attention.
"""

import copy
import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn

from lorabook.axes.attention.interpolation import interpolate
from lorabook.axes.attention.longlora import LongLoRA
from lorabook.core.fit import fit
from lorabook.core.inject import inject
from lorabook.core.recipe import Recipe
from lorabook.core.schedule import warmup_cosine
from lorabook.core.training_step import Batch
from lorabook.models.decoder import Decoder
from lorabook.models.load import load
from lorabook.tasks import recall
from lorabook.tasks.text import Corpus, batches, corpus, evaluate, language_loss

TIMES = 4
TARGETS = "[qkvo]_proj"
LONGLORA, PLAIN = "LongLoRA", "LoRA in shifted groups"
SHORT, FULL = "no shift", "full attention"
"""`SHORT` and `FULL` train norms and embedding as LongLoRA does."""
UNTRAINED = ("at its own length", "positions run on", "positions interpolated")
"""The base before any training: on texts of its own length, and on texts four times as long."""


class World(ABC):
    """A pretrained decoder, texts four times as long as its own, and how well it reads them."""

    name: str
    steps: int
    rates: tuple[float, ...]
    measures: tuple[str, ...]
    names: tuple[str, ...]
    """The contenders that are tried."""
    seeds: range
    """Those that are reported."""

    @property
    @abstractmethod
    def base(self) -> Decoder:
        """The decoder as it was pretrained."""

    @abstractmethod
    def stream(self, length: int, seed: int) -> Iterator[Batch]:
        """Give batches of texts of this length."""

    @abstractmethod
    def score(self, model: nn.Module, length: int) -> tuple[float, ...]:
        """Return `measures` on texts of this length, read with full attention."""

    @property
    def known(self) -> int:
        """How many tokens the base was pretrained on."""
        return self.base.config.context

    @property
    def length(self) -> int:
        return TIMES * self.known


class Novels(World):
    """Austen for the book's base: nats per token, on about the same tokens for every length."""

    name, steps, rates, measures = "novels", 12, (5e-3, 1e-2), ("nats per token",)
    names, seeds = (LONGLORA, PLAIN, SHORT), range(3)

    @cached_property
    def base(self) -> Decoder:
        return load("tiny").model

    @cached_property
    def corpus(self) -> Corpus:
        return corpus("austen", load("tiny").tokenizer)

    def stream(self, length: int, seed: int) -> Iterator[Batch]:
        return batches(self.corpus, 1, length, torch.Generator().manual_seed(seed))

    def score(self, model: nn.Module, length: int) -> tuple[float, ...]:
        return (evaluate(model, self.corpus, length, pieces=8 * self.length // length).nats_per_token,)


class Recall(World):
    """The letter after the last mark, for a decoder of two layers: the share of right answers, near and far.

    Near lies within the text that it was pretrained on; far is the second half of what it is to read.
    """

    name, steps, rates, measures = "recall", 100, (2.5e-3, 5e-3), ("near", "far")
    names, seeds = (LONGLORA, PLAIN, SHORT, FULL), range(5)
    texts = 128

    @cached_property
    def base(self) -> Decoder:
        return recall.pretrained()

    def stream(self, length: int, seed: int) -> Iterator[Batch]:
        return recall.batches(8, length, torch.Generator().manual_seed(seed))

    def score(self, model: nn.Module, length: int) -> tuple[float, ...]:
        return recall.right(model, length, (range(self.known), range(length // 2, length)), self.texts)


@dataclass(frozen=True)
class Contender:
    """What trains, under which attention. `pieces` is into how many texts of its own each text is cut.

    Groups without a shift are such pieces: a score knows distances alone, so that a head which never looks across a
    border reads each group as if it were the whole text.
    """

    name: str
    recipe: Recipe
    pieces: int = 1


def contenders(group: int) -> dict[str, Contender]:
    """Return all of them for groups of this size, by name."""
    whole = LongLoRA(group)
    everywhere, alone = dataclasses.replace(whole, attention=None), dataclasses.replace(whole, also_train=None)
    found = (
        Contender(LONGLORA, whole),
        Contender(PLAIN, alone),
        Contender(SHORT, everywhere, TIMES),
        Contender(FULL, everywhere),
    )
    return {each.name: each for each in found}


def untrained(world: World, name: str) -> tuple[float, ...]:
    """Score the base as it is, in one of the ways of `UNTRAINED`."""
    own, run_on, interpolated = UNTRAINED
    model = copy.deepcopy(world.base)
    if name == run_on:
        model.config = dataclasses.replace(model.config, context=world.length)
    if name == interpolated:
        interpolate(model, world.length)
    return world.score(model, world.known if name == own else world.length)


def train(world: World, name: str, lr: float, seed: int) -> tuple[float, ...]:
    """Train on texts of `world.length` tokens, or their pieces, and score on texts of that length."""
    contender = contenders(world.length // TIMES)[name]
    model = interpolate(copy.deepcopy(world.base), world.length)
    inject(model, contender.recipe, TARGETS, torch.Generator().manual_seed(seed))
    stream = (
        tuple(t.unflatten(1, (contender.pieces, -1)).flatten(0, 1) for t in batch)
        for batch in world.stream(world.length, seed)
    )
    fit(
        model, stream, steps=world.steps, lr=lr, loss=language_loss, schedule=warmup_cosine, clip=1.0, progress=False
    )  # fmt: skip
    return world.score(model, world.length)


WORLDS: dict[str, World] = {world.name: world for world in (Novels(), Recall())}
