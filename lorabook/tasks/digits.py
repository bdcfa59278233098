"""Handwritten digits, 8 × 8: 1797 pictures, and shifted copies of them to adapt to.

Every fifth picture is for testing. A shift changes all pictures alike and keeps the labels, so a net trained on the
plain digits fails on it until it is adapted.
"""

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lorabook.models.paths import data_file


@dataclass(frozen=True)
class Digits:
    """Pictures with values in [0, 1] and the digit that each shows."""

    name: str
    train_x: Float[Tensor, "n_train 1 8 8"]
    train_y: Int[Tensor, " n_train"]
    test_x: Float[Tensor, "n_test 1 8 8"]
    test_y: Int[Tensor, " n_test"]


def digits() -> Digits:
    """Give the digits as they ship.

    Raises:
        FileNotFoundError: the data file is missing.
    """
    with gzip.open(data_file("digits.csv.gz"), "rt", encoding="ascii") as file:
        rows = torch.tensor([[float(value) for value in row] for row in csv.reader(file)])
    x, y = rows[:, :64].view(-1, 1, 8, 8) / 16, rows[:, 64].long()
    test = torch.arange(len(y)) % 5 == 4
    return Digits("digits", x[~test], y[~test], x[test], y[test])


def inverted(plain: Digits) -> Digits:
    """Give the same digits dark on light: x → 1 − x."""
    return Digits("inverted digits", 1 - plain.train_x, plain.train_y, 1 - plain.test_x, plain.test_y)


def rotated(plain: Digits) -> Digits:
    """Give the same digits turned by a quarter, anticlockwise."""
    train_x, test_x = (x.rot90(1, (2, 3)) for x in (plain.train_x, plain.test_x))
    return Digits("rotated digits", train_x, plain.train_y, test_x, plain.test_y)


def permuted(plain: Digits, generator: torch.Generator) -> Digits:
    """Give the same digits with their 64 pixels shuffled, all in one way."""
    order = torch.randperm(64, generator=generator)
    train_x, test_x = (x.flatten(1)[:, order].view_as(x) for x in (plain.train_x, plain.test_x))
    return Digits("permuted digits", train_x, plain.train_y, test_x, plain.test_y)


def batches(digits: Digits, batch: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Give random training pictures and their digits, for ever."""
    while True:
        rows = torch.randint(len(digits.train_y), (batch,), generator=generator)
        yield digits.train_x[rows], digits.train_y[rows]


@torch.no_grad()
def accuracy(model: nn.Module, digits: Digits) -> float:
    """Give the share of test pictures that a model names rightly."""
    return (model(digits.test_x).argmax(-1) == digits.test_y).float().mean().item()
