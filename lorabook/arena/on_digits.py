"""Digits lying on their side."""

from collections.abc import Iterator
from functools import cached_property
from typing import final

import torch
from torch import nn
from torch.nn import functional as F

from lorabook.arena.task import Task
from lorabook.core.fit import cross_entropy, fit
from lorabook.core.training_step import Batch
from lorabook.models.convnet import ConvNet
from lorabook.tasks import digits


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

    def more(self, model: nn.Module) -> dict[str, float]:
        return {"accuracy": digits.accuracy(model, self.turned)}


@torch.no_grad()
def _nats_per_picture(model: nn.Module, pictures: digits.Digits) -> float:
    return F.cross_entropy(model(pictures.test_x), pictures.test_y).item()
