"""Three adapters in one model: every way to merge them, at every weight, on the three texts that they were trained on.

    python -c "from lorabook.arena.hub_merges import record; record()"

computes what the file does not have yet, in about three minutes of one core. A seed trains three adapters anew.
"""

import datetime
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from lorabook.arena.hub_bank import R, adapters, loss
from lorabook.arena.hub_surface import THREE
from lorabook.arena.run import device, versions
from lorabook.many.combine import Combine, Truncated, combined, concatenated, factors_summed
from lorabook.many.hub import product_of_sums
from lorabook.many.pair import Pair, State
from lorabook.many.stacking import attached
from lorabook.many.ties import Dare, Ties
from lorabook.models.load import load
from lorabook.models.paths import data_dir, data_file

WEIGHTS = (0.25, 0.35, 0.5, 0.6, 0.75, 1.0, 1.5, 2.0)
SEEDS = (0, 1, 2)
FILE = "recorded/hub_merges.jsonl"
CAT, SVD, LINEAR, SQUARED = "cat", "svd", "linear", "LoRAHub's product"
TIES, DARE, TIES_SVD = "TIES", "DARE", "ties_svd"
WAYS: dict[str, Callable[[int], Combine]] = {
    CAT: lambda seed: concatenated,
    SVD: lambda seed: Truncated(R),
    LINEAR: lambda seed: factors_summed,
    SQUARED: lambda seed: product_of_sums,
    TIES: lambda seed: Ties(0.2),
    TIES_SVD: lambda seed: cut(Ties(0.2)),
    DARE: lambda seed: Dare(0.2, torch.Generator().manual_seed(seed)),
}
"""How three pairs become one, for a seed: only DARE draws. 0.2 is the density of TIES' authors."""


def cut(how: Combine) -> Combine:
    """Return a way that goes on to the nearest matrix of the adapters' own rank."""

    def combine(pairs: Sequence[Pair], weights: Sequence[float]) -> Pair:
        return Truncated(R)([how(pairs, weights)], [1.0])

    return combine


@dataclass(frozen=True)
class Merged:
    """One way at one weight for each adapter, and the losses on the texts of `THREE`, nats per token."""

    way: str
    seed: int
    weight: float
    losses: tuple[float, ...]
    device: str
    versions: str
    date: str

    @property
    def key(self) -> tuple[str, int, float]:
        """What was asked for."""
        return self.way, self.seed, self.weight


ALONE = "each alone"
"""Its losses are those of each adapter on its own text, at the weight 1; with weight 0 those of the base."""


def asked() -> list[tuple[str, int, float]]:
    """Return every row that belongs to the record."""
    merged = [(way, seed, weight) for seed in SEEDS for way in WAYS for weight in WEIGHTS]
    return [*((ALONE, seed, weight) for seed in SEEDS for weight in (0.0, 1.0)), *merged]


def record(path: Path | None = None) -> None:
    """Compute what is missing in the file, and add a line for each row as it ends."""
    path = path or data_dir() / FILE
    done = {row.key for row in recorded(path)} if path.exists() else set()
    for key in asked():
        if key not in done:
            row = Merged(
                *key, tuple(round(each, 4) for each in measure(*key)), device(), versions(),
                datetime.date.today().isoformat(),
            )  # fmt: skip
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(row), ensure_ascii=False, separators=(",", ":")) + "\n")


def recorded(path: Path | None = None) -> list[Merged]:
    """Return every recorded row."""
    rows = [json.loads(line) for line in (path or data_file(FILE)).read_text(encoding="utf-8").splitlines()]
    return [Merged(**{**row, "losses": tuple(row["losses"])}) for row in rows]


def measure(way: str, seed: int, weight: float) -> list[float]:
    """Return the losses on the three texts."""
    bank = adapters(THREE, seed)
    if way == ALONE:
        return [_losses(combined(bank, {name: weight * (name == own) for name in THREE}), (own,))[0] for own in THREE]
    return _losses(combined(bank, dict.fromkeys(THREE, weight), WAYS[way](seed)), THREE)


def _losses(state: Mapping[str, Pair] | State, texts: Sequence[str]) -> list[float]:
    base = load("tiny").model
    with attached(base, state):
        return [loss(base, text) for text in texts]
