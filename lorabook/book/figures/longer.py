"""Chapter 21's tables: how far back a model answers, and how much it gains from what stands far back."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from lorabook.arena.longer import CONTENDERS, FULL, LONGLORA, PLAIN, SHORT, UNTRAINED
from lorabook.arena.longer_record import Row, read, reported
from lorabook.book.shown import Shown, table
from lorabook.models.loaded import Loaded
from lorabook.tasks.text import corpus

SAID = {
    LONGLORA: ("norms, embedding", "groups, half of the heads shifted"),
    PLAIN: ("·", "groups, half of the heads shifted"),
    SHORT: ("norms, embedding", "groups, no shift: four short texts"),
    FULL: ("norms, embedding", "full attention"),
}
"""What trains beside LoRA, and under which attention."""


def near_and_far(rows: Sequence[Row] | None = None) -> dict[str, np.ndarray]:
    """Return every reported score by name: a row for near, one for far, a column for each seed."""
    found = reported(read() if rows is None else rows)
    return {name: np.array([[row.near for row in runs], [row.far for row in runs]]) for name, runs in found.items()}


def recall_table(rows: Sequence[Row] | None = None) -> Shown:
    """Return a table: the base untrained, in each way, then the contenders; ± is the seeds' standard deviation."""
    found = near_and_far(rows)
    cells = [(f"not trained, {name}", "", "", *map(_entry, found[name])) for name in UNTRAINED]
    cells += [(name, *SAID[name], *map(_entry, found[name])) for name in CONTENDERS]
    return table(("", "trains beside LoRA", "attention in training", "right, near", "right, far"), cells)


def _entry(values: np.ndarray) -> str:
    spread = f" ± {100 * values.std(ddof=1):.0f}" if len(values) > 1 else ""
    return f"{100 * values.mean():.0f}{spread}%"


def austen(base: Loaded, pieces: int = 32, length: int = 256) -> torch.Tensor:
    """Return pieces of Austen's unseen text, one longer than `length`, spread evenly."""
    text = corpus("austen", base.tokenizer).val
    starts = torch.linspace(0, len(text) - length - 1, pieces).long()
    return text[starts[:, None] + torch.arange(length + 1)]


@torch.no_grad()
def loss_by_place(model: nn.Module, rows: torch.Tensor) -> torch.Tensor:
    """Return the mean loss of the token at each place of a text, in nats."""
    logits = model(rows[:, :-1])
    return F.cross_entropy(logits.mT, rows[:, 1:], reduction="none").mean(0)
