"""The bank of LoRAHub's chapter: one LoRA for each text, and LoRA trained on a few examples of a new one."""

from collections.abc import Iterable, Iterator
from functools import cache

import torch
from torch import nn

from lorabook.arena.hub_texts import LENGTH, TARGETS, corpus
from lorabook.core.fit import cross_entropy, fit
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.optimizer import optimizer
from lorabook.core.schedule import constant
from lorabook.core.training_step import Batch, take_steps
from lorabook.many.pair import State, pairs_of
from lorabook.models.load import load
from lorabook.tasks import text

R, STEPS, BATCH, RATE = 8, 40, 4, 2.5e-3
LOOKS = (10, 20, 40)
"""Steps after which a training on a few examples is scored: it may be best early."""
PIECES = 16
"""Of `LENGTH` tokens, of a text's validation part: what a model is scored on."""


@cache
def adapter(name: str, seed: int = 0) -> State:
    """Return the adapter of one text, trained from the book's base."""
    model = load("tiny").model
    inject(model, LoRA(R), TARGETS, torch.Generator().manual_seed(seed))
    stream = text.batches(corpus(name), BATCH, LENGTH, torch.Generator().manual_seed(seed))
    fit(model, stream, steps=STEPS, lr=RATE, progress=False)
    return pairs_of(model)


def adapters(names: Iterable[str], seed: int = 0) -> dict[str, State]:
    """Return one adapter for each text, by its name."""
    return {name: adapter(name, seed) for name in names}


def loss(model: nn.Module, name: str) -> float:
    """Return the loss of a model on what a text has for validation, nats per token."""
    return text.evaluate(model, corpus(name), LENGTH, PIECES).nats_per_token


def some(examples: Batch, seed: int) -> Iterator[Batch]:
    """Give batches of a few examples for ever, none twice in a batch."""
    draw = torch.Generator().manual_seed(seed)
    inputs, targets = examples
    while True:
        rows = torch.randperm(len(inputs), generator=draw)[:BATCH]
        yield inputs[rows], targets[rows]


def trained_on(examples: Batch, lr: float, seed: int, start: State | None = None) -> Iterator[tuple[int, nn.Module]]:
    """Train a LoRA on a few examples, a new one or from a start of the bank, and give the model at each of `LOOKS`."""
    model = load("tiny").model
    for name, layer in inject(model, LoRA(R), TARGETS, torch.Generator().manual_seed(seed)).items():
        if start is not None:
            with torch.no_grad():
                layer.update.A.copy_(start[name].A)
                layer.update.B.copy_(start[name].B)
    steps = take_steps(
        model, optimizer(model, lr), some(examples, seed), 0, STEPS, cross_entropy, rates=[lr], schedule=constant
    )
    for step, _ in enumerate(steps, 1):
        if step in LOOKS:
            yield step, model
