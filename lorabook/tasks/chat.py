"""Chats as token tensors: a template writes the turns as one text, and a mask says which tokens are trained.

A position predicts the token after it, so that the mask belongs to the *target*: position t is trained if token t + 1
is. Targets that are not trained are `IGNORED`, and cross-entropy leaves them out of its mean.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

import torch
from jaxtyping import Int
from torch import Tensor, nn

from lorabook.core.modes import evaluating
from lorabook.models.vocabulary import Vocabulary
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


def encode(chat: Chat, tokenizer: Vocabulary, mask: Mask = answers) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
    """Return the tokens of a chat but the last, and for each of them the token that follows, or `IGNORED`.

    Raises:
        ValueError: the mask trains nothing of this chat.
    """
    tokens, trained = [], []
    for part in parts(chat):
        own = tokenizer.encode(part.text)
        tokens += own
        trained += [mask(part)] * len(own)
    follows = torch.where(torch.tensor(trained[1:]), torch.tensor(tokens[1:]), IGNORED)
    if not any(trained[1:]):
        raise ValueError(f"the mask trains no token of {chat!r}; give it an answer, or another mask")
    return torch.tensor(tokens[:-1]), follows


def padded(rows: Sequence[tuple[Tensor, Tensor]]) -> Batch:
    """Put chats of different lengths into one batch: token 0 behind the shorter ones, never trained.

    Attention is causal, so that no token sees what stands behind it.
    """
    inputs, targets = zip(*rows, strict=True)
    fill = torch.nn.utils.rnn.pad_sequence
    return fill(inputs, batch_first=True), fill(targets, batch_first=True, padding_value=IGNORED)


def batches(
    chats: Sequence[Chat], tokenizer: Vocabulary, batch: int, generator: torch.Generator, mask: Mask = answers
) -> Iterator[Batch]:
    """Give batches for ever: all chats in a new order, then again.

    Raises:
        ValueError: a batch would hold more chats than there are.
    """
    if not 0 < batch <= len(chats):
        raise ValueError(f"a batch of {batch} out of {len(chats)} chats; take 1 to {len(chats)}")
    rows = [encode(chat, tokenizer, mask) for chat in chats]
    while True:
        for some in torch.randperm(len(rows), generator=generator).split(batch):
            yield padded([rows[i] for i in some])


def opened(chat: Chat) -> str:
    """Write a chat up to where its last turn begins to speak: what the model is given to answer."""
    return "".join(part.text for part in parts(chat)[:-3])


@dataclass(frozen=True)
class Reading:
    """What a model makes of known answers: nats per trained token, and whether it would say each, mark by mark.

    `said`: for each chat, the likeliest token is the right one at every trained place: greedy decoding gives exactly
    this answer and stops. `first` and `stops`: the same at the first and at the last of these places.
    """

    nats: float
    said: tuple[bool, ...]
    first: tuple[bool, ...]
    stops: tuple[bool, ...]


@torch.no_grad()
def read(model: nn.Module, chats: Sequence[Chat], tokenizer: Vocabulary) -> Reading:
    """Score a model on the answers of chats, all in one batch."""
    tokens, targets = padded([encode(chat, tokenizer, last_answer) for chat in chats])
    device = next(model.parameters()).device
    with evaluating(model):
        logits = model(tokens.to(device)).float().cpu()
    asked = targets != IGNORED
    nats = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    right = [row[places].tolist() for row, places in zip(logits.argmax(-1) == targets, asked, strict=True)]
    return Reading(nats.item(), *(tuple(map(how, right)) for how in (all, lambda r: r[0], lambda r: r[-1])))
