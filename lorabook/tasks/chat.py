"""Chats as token tensors: a template writes the turns as one text, and a mask says which tokens are trained.

A position predicts the token after it, so that the mask belongs to the *target*: position t is trained if token t + 1
is. Targets that are not trained are `IGNORED`, and cross-entropy leaves them out of its mean.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from lorabook.tasks.facts import IGNORED

USER, ASSISTANT, SYSTEM = "user", "assistant", "system"
START, END = "<|im_start|>", "<|im_end|>"
"""ChatML's marks, each one token in a model that was trained on them."""

TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + "
    "'\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""The same template in Jinja, as tokenizers and GGUF files carry it."""

Batch = tuple[Int[Tensor, "batch length"], Int[Tensor, "batch length"]]


@dataclass(frozen=True)
class Turn:
    """Who speaks, and what is said."""

    role: str
    text: str


Chat = tuple[Turn, ...]


class Piece(Enum):
    """What the template makes of a turn, in this order."""

    HEADER = "who speaks"
    BODY = "what is said"
    STOP = "the end mark"
    BREAK = "a line break"


@dataclass(frozen=True)
class Part:
    """A stretch of the written chat. Each is cut into tokens on its own, as a prompt and its answer are in use."""

    text: str
    role: str
    piece: Piece
    last: bool


@runtime_checkable
class Encodes(Protocol):
    """What turns a text into token numbers: a `Vocabulary`, say."""

    def encode(self, text: str) -> list[int]: ...


Mask = Callable[[Part], bool]
"""Say whether the tokens of a part are trained."""


def parts(chat: Chat) -> list[Part]:
    """Write a chat in ChatML, the template of SmolLM2, Qwen and others."""
    written = []
    for n, turn in enumerate(chat, 1):
        texts = (f"{START}{turn.role}\n", turn.text, END, "\n")
        written += [Part(text, turn.role, piece, n == len(chat)) for text, piece in zip(texts, Piece, strict=True)]
    return written


def answers(part: Part) -> bool:
    """Train what the assistant says, and that it stops."""
    return part.role == ASSISTANT and part.piece in (Piece.BODY, Piece.STOP)


def every_token(part: Part) -> bool:
    """Train everything: the model learns to write the questions too."""
    return True


def answers_alone(part: Part) -> bool:
    """Train what the assistant says, but not that it stops."""
    return part.role == ASSISTANT and part.piece is Piece.BODY


def last_answer(part: Part) -> bool:
    """Train the last answer of a chat only."""
    return part.last and answers(part)


def marked(chat: Chat, tokenizer: Encodes, mask: Mask) -> tuple[Int[Tensor, " n"], Bool[Tensor, " n"]]:
    """Return the tokens of a chat, and which of them the mask trains."""
    tokens, trained = [], []
    for part in parts(chat):
        own = tokenizer.encode(part.text)
        tokens += own
        trained += [mask(part)] * len(own)
    return torch.tensor(tokens), torch.tensor(trained)


Row = tuple[Tensor, Tensor]
"""A chat to train on: tokens, and for each the token that follows it, or `IGNORED`."""


def encode(chat: Chat, tokenizer: Encodes, mask: Mask = answers) -> Row:
    """Return a chat to train on. Its last token has none that follows, and is only a target.

    Raises:
        ValueError: the mask trains nothing of this chat.
    """
    tokens, trained = marked(chat, tokenizer, mask)
    if not trained[1:].any():
        raise ValueError(f"the mask trains no token of {chat!r}; give it an answer, or another mask")
    return tokens[:-1], torch.where(trained[1:], tokens[1:], IGNORED)


def padded(rows: Sequence[Row]) -> Batch:
    """Put chats of different lengths into one batch: token 0 behind the shorter ones, never trained.

    Attention is causal, so that no token sees what stands behind it.
    """
    inputs, targets = zip(*rows, strict=True)
    fill = torch.nn.utils.rnn.pad_sequence
    return fill(inputs, batch_first=True), fill(targets, batch_first=True, padding_value=IGNORED)


def batches(rows: Sequence[Row], batch: int, generator: torch.Generator) -> Iterator[Batch]:
    """Give batches for ever: all chats in a new order, then again.

    Raises:
        ValueError: a batch would hold more chats than there are.
    """
    if not 0 < batch <= len(rows):
        raise ValueError(f"a batch of {batch} out of {len(rows)} chats; take 1 to {len(rows)}")
    while True:
        for some in torch.randperm(len(rows), generator=generator).split(batch):
            yield padded([rows[i] for i in some])


def opened(chat: Chat) -> str:
    """Write a chat up to where its last turn begins to speak: what the model is given to answer."""
    return "".join(part.text for part in parts(chat)[:-3])
