"""Texts four times as long as the model's: what trains, who looks at whom meanwhile, and how far back it answers.

A small decoder has learned recall on texts of 64 tokens, and is to do it on 256, where four answers in ten lie farther
back than a group. Positions are interpolated, groups are a quarter of the text, and in the end everybody reads with
full attention.
"""

import copy
import dataclasses
from dataclasses import dataclass
from functools import cache

import torch
from torch import nn

from lorabook.axes.attention.interpolation import interpolate
from lorabook.axes.attention.longlora import LongLoRA
from lorabook.core.fit import fit
from lorabook.core.inject import inject
from lorabook.core.recipe import Recipe
from lorabook.core.schedule import warmup_cosine
from lorabook.models.decoder import Decoder
from lorabook.tasks import recall
from lorabook.tasks.text import language_loss

TIMES = 4
KNOWN = recall.SHAPE.context
LENGTH = TIMES * KNOWN
TARGETS = "[qkvo]_proj"
STEPS, BATCH, TEXTS = 100, 8, 128


@dataclass(frozen=True)
class Contender:
    """What trains, under which attention. `pieces` is into how many texts of its own each text is cut.

    Groups without a shift are such pieces: a score knows distances alone, so that a head which never looks across a
    border reads each group as if it were the whole text.
    """

    recipe: Recipe
    pieces: int = 1


GROUPS = LongLoRA(LENGTH // TIMES)
EVERYWHERE = dataclasses.replace(GROUPS, attention=None)
LONGLORA, PLAIN, SHORT, FULL = "LongLoRA", "LoRA in shifted groups", "no shift", "full attention"
CONTENDERS: dict[str, Contender] = {
    LONGLORA: Contender(GROUPS),
    PLAIN: Contender(dataclasses.replace(GROUPS, also_train=None)),
    SHORT: Contender(EVERYWHERE, TIMES),
    FULL: Contender(EVERYWHERE),
}
"""`SHORT` and `FULL` train norms and embedding as LongLoRA does."""
OWN, RUN_ON, INTERPOLATED = "at its own length", "positions run on", "positions interpolated"
UNTRAINED = (OWN, RUN_ON, INTERPOLATED)
"""The base before any training: on texts of its own length, and on texts four times as long."""


@dataclass(frozen=True)
class Right:
    """The share of right answers that lie within the pretrained length, and in the second half of the text."""

    near: float
    far: float


@cache
def base() -> Decoder:
    """Return the decoder as it was pretrained; the first call trains it."""
    return recall.pretrained()


def score(model: nn.Module, length: int = LENGTH, texts: int = TEXTS) -> Right:
    """Ask a model on texts of this length."""
    return Right(*recall.right(model, length, (range(KNOWN), range(length // 2, length)), texts))


def untrained(name: str) -> Decoder:
    """Return the base as it is, ready for texts in one of the ways of `UNTRAINED`."""
    model = copy.deepcopy(base())
    if name == RUN_ON:
        model.config = dataclasses.replace(model.config, context=LENGTH)
    return interpolate(model, LENGTH) if name == INTERPOLATED else model


def train(name: str, lr: float, seed: int, steps: int = STEPS) -> Decoder:
    """Return the base after training on texts of `LENGTH` tokens, or on their pieces."""
    contender = CONTENDERS[name]
    model = interpolate(copy.deepcopy(base()), LENGTH)
    inject(model, contender.recipe, TARGETS, torch.Generator().manual_seed(seed))
    stream = (
        tuple(t.unflatten(1, (contender.pieces, -1)).flatten(0, 1) for t in batch)
        for batch in recall.batches(BATCH, LENGTH, torch.Generator().manual_seed(seed))
    )
    fit(model, stream, steps=steps, lr=lr, loss=language_loss, schedule=warmup_cosine, clip=1.0, progress=False)
    return model
