"""Texts as token tensors, batches of them, and how well a model predicts them.

Every text is cut once: the last 5% is validation. A model's loss is its mean negative log-likelihood in nats per
token; divided by ln 2 and by the bytes per token it becomes bits per byte, which does not depend on the tokenizer.
"""

import lzma
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.nn import functional as F

from lorabook.core.modes import evaluating
from lorabook.models.paths import data_file
from lorabook.models.vocabulary import Vocabulary

TEXTS = ("austen", "kjv")
VALIDATION = 0.05


@dataclass(frozen=True)
class Corpus:
    """A text as tokens: one long row to train on, one to validate on."""

    name: str
    train: Int[Tensor, " n_train"]
    val: Int[Tensor, " n_val"]
    val_bytes: int


@dataclass(frozen=True)
class Score:
    """How well a model predicts a text: nats per token and bits per byte; lower is better."""

    nats_per_token: float
    bits_per_byte: float


def read(name: str) -> str:
    """Give one of the shipped texts, "austen" or "kjv", as a string.

    Raises:
        ValueError: for another name.
        FileNotFoundError: its file is missing.
    """
    if name not in TEXTS:
        raise ValueError(f"Unknown text {name!r}; the book ships {', '.join(TEXTS)}.")
    return lzma.decompress(data_file(f"{name}.txt.xz").read_bytes()).decode("utf-8")


def split(text: str) -> tuple[str, str]:
    """Cut a text at the line end nearest before its last 5%: what is trained on, and what is validated on."""
    cut = text.rfind("\n", 0, int(len(text) * (1 - VALIDATION))) + 1
    return text[:cut], text[cut:]


def corpus(name: str, tokenizer: Vocabulary) -> Corpus:
    """Give a shipped text as tokens."""
    return tokenize(name, read(name), tokenizer)


def uppercase_austen(tokenizer: Vocabulary) -> Corpus:
    """Give Austen in CAPITALS: a narrow task, new spelling of words the shipped base knows already.

    One novel to train on, Emma, which is plenty; validation is the shipped text's own, in capitals.
    """
    train, val = split(read("austen"))
    return encode("AUSTEN", train[: train.index("\n\n")].upper(), val.upper(), tokenizer)


def tokenize(name: str, text: str, tokenizer: Vocabulary) -> Corpus:
    """Cut any text into its two parts and turn each into tokens."""
    return encode(name, *split(text), tokenizer)


def encode(name: str, train: str, val: str, tokenizer: Vocabulary) -> Corpus:
    """Turn a text to train on and one to validate on into tokens.

    Raises:
        ValueError: either is too short to hold a token and the next.
    """
    rows = [torch.tensor(tokenizer.encode(part), dtype=torch.long) for part in (train, val)]
    if min(map(len, rows)) < 2:
        raise ValueError(
            f"The text {name!r} has {len(train)} characters to train on and {len(val)} to validate on; "
            f"each needs at least two tokens."
        )
    return Corpus(name, *rows, len(val.encode("utf-8")))


def batches(
    corpus: Corpus, batch: int, length: int, generator: torch.Generator
) -> Iterator[tuple[Int[Tensor, "batch length"], Int[Tensor, "batch length"]]]:
    """Give random pieces of the training text for ever: tokens, and the tokens that follow each of them.

    Raises:
        ValueError: the text is shorter than one piece.
    """
    n = len(corpus.train) - length
    if n < 1:
        raise ValueError(f"{corpus.name}: {len(corpus.train)} training tokens; a piece needs {length + 1}.")
    while True:
        starts = torch.randint(n, (batch, 1), generator=generator)
        pieces = corpus.train[starts + torch.arange(length + 1)]
        yield pieces[:, :-1], pieces[:, 1:]


def language_loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Give the mean negative log-likelihood of the next token, in nats: −mean log p(target | tokens before it)."""
    tokens, targets = batch
    return F.cross_entropy(model(tokens).float().flatten(0, 1), targets.flatten())


@torch.no_grad()
def evaluate(model: nn.Module, corpus: Corpus, length: int = 256, pieces: int | None = None) -> Score:
    """Score a model on the validation text, cut into pieces that do not overlap.

    `pieces` keeps only so many, spread evenly over the text; None takes all. Each piece starts without memory.
    """
    device = next(model.parameters()).device
    n = (len(corpus.val) - 1) // length
    if n < 1:
        raise ValueError(f"{corpus.name}: {len(corpus.val)} validation tokens; a piece needs {length + 1}.")
    starts = torch.linspace(0, (n - 1) * length, min(n, pieces or n)).round().long()
    total = 0.0
    with evaluating(model):
        for some in starts.split(16):
            rows = corpus.val[some[:, None] + torch.arange(length + 1)].to(device)
            total += language_loss(model, (rows[:, :-1], rows[:, 1:])).item() * len(some)
    nats = total / len(starts)
    return Score(nats, nats / math.log(2) * len(corpus.val) / corpus.val_bytes)
