"""Recall: random letters, now and then a mark; asked for later is the letter that followed the last mark.

Whoever answers must tell neighbours apart, to see which letter follows a mark, and must look as far back as the last
mark lies. So it shows both things that a longer text asks of a model. A small decoder learns it in a minute or two.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.nn import functional as F

from lorabook.core.modes import evaluating
from lorabook.core.schedule import cosine
from lorabook.models.decoder import Decoder, DecoderConfig, initialise
from lorabook.tasks.facts import IGNORED

LETTERS, MARK, QUESTION = 32, 32, 33
MOST = 4
"""A text has one to four marks, however long it is."""
ASKED = 1 / 4
"""So many of the tokens are questions."""
SHAPE = DecoderConfig(
    vocab=34, hidden=64, layers=2, heads=4, kv_heads=4, d_head=16, ffn=128, context=64, tied=False
)  # fmt: skip
STEPS, BATCH, RATE = 1000, 32, 4e-3


@dataclass(frozen=True)
class Texts:
    """Tokens, what is due at each question (`IGNORED` elsewhere), and how far back the letter lies that is due."""

    tokens: Int[Tensor, "batch length"]
    due: Int[Tensor, "batch length"]
    back: Int[Tensor, "batch length"]


def draw(batch: int, length: int, generator: torch.Generator) -> Texts:
    """Draw texts; a question before the first mark is not scored."""

    def letters() -> Tensor:
        return torch.randint(LETTERS, (batch, length), generator=generator)

    tokens = letters()
    tokens[torch.rand(batch, length, generator=generator) < ASKED] = QUESTION
    count = torch.randint(1, MOST + 1, (batch, 1), generator=generator)
    places = torch.randint(length - 1, (batch, MOST), generator=generator)
    places = torch.where(torch.arange(MOST) < count, places, places[:, :1])
    tokens.scatter_(1, places, MARK)
    i = torch.arange(length)
    # A mark right after a mark becomes a letter, so that a letter follows every mark.
    tokens = torch.where(_follows(tokens), letters(), tokens)
    at = torch.where(_follows(tokens), i, -1).cummax(1).values
    last = tokens.gather(1, at.clamp_min(0))
    return Texts(tokens, torch.where((tokens == QUESTION) & (at >= 0), last, IGNORED), i - at)


def _follows(tokens: Int[Tensor, "batch length"]) -> Tensor:
    """Say which tokens follow a mark."""
    return F.pad(tokens[:, :-1] == MARK, (1, 0))


def batches(batch: int, length: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Give texts for ever, with what is due."""
    while True:
        texts = draw(batch, length, generator)
        yield texts.tokens, texts.due


@torch.no_grad()
def right(model: nn.Module, length: int, reaches: Sequence[range], texts: int = 128) -> tuple[float, ...]:
    """Return, for each reach, the share of right answers where the letter lies so many tokens back: always one draw."""
    drawn = draw(texts, length, torch.Generator().manual_seed(9))
    with evaluating(model):
        said = torch.cat([model(some).argmax(-1) for some in drawn.tokens.split(32)])
    hit, asked = said == drawn.due, drawn.due != IGNORED
    inside = [asked & (drawn.back >= reach.start) & (drawn.back < reach.stop) for reach in reaches]
    return tuple(hit[some].float().mean().item() for some in inside)


def pretrained(steps: int = STEPS, seed: int = 0) -> Decoder:
    """Train a small decoder on texts of 64 tokens, from nothing."""
    generator = torch.Generator().manual_seed(seed)
    model = Decoder(SHAPE)
    initialise(model, generator)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2:
                weight.mul_(3)  # at this width 0.02 is a slow start
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.01)
    for step, (tokens, due) in enumerate(islice(batches(BATCH, SHAPE.context, generator), steps)):
        for group in optimizer.param_groups:
            group["lr"] = RATE * cosine(step, steps, 30, 0.02)
        optimizer.zero_grad()
        F.cross_entropy(model(tokens).flatten(0, 1), due.flatten(), ignore_index=IGNORED).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model.eval()
