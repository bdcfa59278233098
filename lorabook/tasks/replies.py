"""What a model answers in a chat: read off known answers in one pass, or written out a token at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from lorabook.core.modes import evaluating
from lorabook.models.loaded import Loaded
from lorabook.models.vocabulary import Vocabulary
from lorabook.tasks.chat import END, Chat, encode, last_answer, opened, padded
from lorabook.tasks.facts import IGNORED


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


@torch.no_grad()
def reply(loaded: Loaded, chat: Chat, most: int = 12) -> str:
    """Let a model answer the last question of a chat, the likeliest token each time, until it stops or has said `most`.

    What the last turn says is not read: it is the answer that is asked for.
    """
    tokens, said = loaded.tokenizer.encode(opened(chat)), []
    (end,) = loaded.tokenizer.encode(END)
    with evaluating(loaded.model):
        while len(said) < most and end not in said[-1:]:
            row = torch.tensor([tokens + said], device=loaded.device)
            said.append(int(loaded.model(row)[0, -1].argmax()))
    return loaded.tokenizer.decode([token for token in said if token != end]).strip()
