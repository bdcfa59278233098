"""LoRA at every pair of rates (η_A, η_B), on decoders of three widths: the plane on which LoRA+ is a line.

    python -c "from lorabook.arena.rate_runs import record; record()"

trains what the file does not have yet, in five to ten minutes of one core. A decoder of one layer reads Austen letter
by letter; then LoRA of rank 8 on all its matrices reads Emma in CAPITALS. Widths differ in nothing else, but for the
rate of the pretraining, which goes as 1/n.
"""

import copy
import datetime
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from lorabook.arena.method import CLIP
from lorabook.arena.run import device, versions
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.schedule import warmup_cosine
from lorabook.core.training_step import Batch, take_steps
from lorabook.models.decoder import Decoder, DecoderConfig, initialise
from lorabook.models.paths import data_dir, data_file
from lorabook.tasks.text import Corpus, batches, evaluate, language_loss, read, split

WIDTHS = (32, 128, 512)
RATES_A = tuple(1e-4 * 2**k for k in range(10))
RATES_B = tuple(1.6e-3 * 2**k for k in range(7))
"""Doublings, so that a line of one ratio η_B/η_A goes through the points."""
SEEDS = (0, 1, 2)
R, ALPHA = 8, 16
STEPS, BATCH, LENGTH, PIECES = 40, 4, 64, 32
FILE = "recorded/rates.jsonl"


@dataclass(frozen=True)
class RateRuns:
    """Trainings at one η_B: the loss of the base, and that after training with each η_A of `RATES_A`."""

    width: int
    rate_b: float
    seed: int
    start: float
    losses: tuple[float, ...]
    device: str
    versions: str
    date: str

    @property
    def key(self) -> tuple[int, float, int]:
        """What was asked for."""
        return self.width, self.rate_b, self.seed


def asked() -> list[tuple[int, float, int]]:
    """Return every row that belongs to the record."""
    return [(width, rate_b, seed) for width in WIDTHS for seed in SEEDS for rate_b in RATES_B]


def record(path: Path | None = None) -> None:
    """Train what is missing in the file, and add a line for each row as it ends.

    Raises:
        Diverged: a loss is no number any more.
    """
    path = path or data_dir() / FILE
    done = {each.key for each in recorded(path)} if path.exists() else set()
    for key in asked():
        if key not in done:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(train(*key)), separators=(",", ":")) + "\n")


def recorded(path: Path | None = None) -> list[RateRuns]:
    """Return every recorded row."""
    lines = (path or data_file(FILE)).read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [RateRuns(**{**row, "losses": tuple(row["losses"])}) for row in rows]


def train(width: int, rate_b: float, seed: int) -> RateRuns:
    """Train with one η_B and every η_A, from one start and on the same batches."""
    losses = tuple(round(adapted(width, rate_a, rate_b, seed), 4) for rate_a in RATES_A)
    today = datetime.date.today().isoformat()
    return RateRuns(width, rate_b, seed, round(score(base(width)), 4), losses, device(), versions(), today)


def adapted(width: int, rate_a: float, rate_b: float, seed: int) -> float:
    """Return the loss after training A at one rate and B at the other."""
    model = copy.deepcopy(base(width))
    inject(model, LoRA(R, ALPHA), "_proj", torch.Generator().manual_seed(seed))
    stream = batches(capitals(), BATCH, LENGTH, torch.Generator().manual_seed(seed))
    train_apart(model, (rate_a, rate_b), stream, STEPS)
    return score(model)


def train_apart(model: nn.Module, rates: tuple[float, float], stream: Iterator[Batch], steps: int) -> None:
    """Train A at the first rate and B at the second, with the arena's warm-up and its clipping."""
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    # Not LoRAPlusAdamW: half of the plane has A as the faster one, which that refuses.
    groups = [{"params": [p for name, p in named.items() if name.endswith(end)]} for end in (".A", ".B")]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.0)
    _exhaust(
        take_steps(
            model, optimizer, stream, 0, steps, language_loss, rates=rates, schedule=warmup_cosine, clip=CLIP
        )
    )  # fmt: skip


@cache
def base(width: int) -> Decoder:
    """Return a decoder of one layer that has read Austen for 600 steps, from a fixed seed."""
    model = Decoder(
        DecoderConfig(
            vocab=128, hidden=width, layers=1, heads=width // 16, kv_heads=width // 16, d_head=16, ffn=2 * width,
            context=LENGTH,
        )
    )  # fmt: skip
    initialise(model, torch.Generator().manual_seed(0))
    lr = 0.3 / width
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.0)
    stream = batches(austen(), 8, LENGTH, torch.Generator().manual_seed(0))
    _exhaust(take_steps(model, optimizer, stream, 0, 600, language_loss, rates=[lr], schedule=warmup_cosine, clip=CLIP))
    return model.eval()


def score(model: Decoder) -> float:
    """Return the loss on CAPITALS that were not trained on, in nats per letter."""
    return evaluate(model, capitals(), LENGTH, PIECES).nats_per_token


@cache
def austen() -> Corpus:
    """Return Emma, letter by letter."""
    return _letters("austen", *_emma())


@cache
def capitals() -> Corpus:
    """Return Emma in CAPITALS, letter by letter."""
    return _letters("AUSTEN", *(part.upper() for part in _emma()))


def _emma() -> tuple[str, str]:
    train, val = split(read("austen"))
    return train[: train.index("\n\n")], val


def _letters(name: str, train: str, val: str) -> Corpus:
    rows: Iterable[Tensor] = (torch.tensor(list(part.encode("ascii", "replace"))) for part in (train, val))
    return Corpus(name, *rows, len(val))


def _exhaust(losses: Iterator[float]) -> None:
    for _ in losses:
        pass
