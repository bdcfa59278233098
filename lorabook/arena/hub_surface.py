"""The loss over the weights of three adapters, on two texts that none of them has seen; and a search on it.

    python -c "from lorabook.arena.hub_surface import record; record()"

computes what the file does not have yet, in about three minutes of one core. The weights are shares of a total: a point
of a triangle, times the total. The search is LoRAHub's, from ten examples, and free to leave the triangle.
"""

import datetime
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from lorabook.arena.hub_bank import adapters, loss
from lorabook.arena.hub_texts import BIBLE_IN_CAPITALS, BIBLE_WITHOUT_SPACES, examples
from lorabook.arena.run import device, versions
from lorabook.many.combine import Combine, combined, concatenated
from lorabook.many.hub import compose, product_of_sums
from lorabook.many.pair import State
from lorabook.many.stacking import attached
from lorabook.models.load import load
from lorabook.models.paths import data_dir, data_file
from lorabook.tasks.text import language_loss

THREE = ("Bible", "CAPITALS", "no spaces")
TESTS = (BIBLE_IN_CAPITALS, BIBLE_WITHOUT_SPACES)
PRODUCT, SUM = "product of sums, LoRAHub", "sum of products, exact"
WAYS: dict[str, Combine] = {PRODUCT: product_of_sums, SUM: concatenated}
TOTALS = (1.0, 1.5, 2.0)
PARTS = 10
POINTS = tuple((i, j, PARTS - i - j) for i in range(PARTS + 1) for j in range(PARTS + 1 - i))
"""Shares of the three adapters, in tenths of the total."""
K, TRIES, SEED = 10, 40, 0
FILE = "recorded/hub_surface.jsonl"


@dataclass(frozen=True)
class Surface:
    """Losses of one way to compose on one text: by total the loss at each of `POINTS`, and a search's tries.

    path: the weights of each try in their order; objectives: loss on the ten examples + 0.05·mean|w|; found: the loss
    on the text of the weights that it returns, and base that of the base alone.
    """

    text: str
    way: str
    losses: tuple[tuple[float, ...], ...]
    path: tuple[tuple[float, ...], ...]
    objectives: tuple[float, ...]
    found: float
    base: float
    device: str
    versions: str
    date: str

    @property
    def key(self) -> tuple[str, str]:
        """What was asked for."""
        return self.text, self.way


def asked() -> list[tuple[str, str]]:
    """Return every row that belongs to the record."""
    return [(text, way) for text in TESTS for way in WAYS]


def record(path: Path | None = None) -> None:
    """Compute what is missing in the file, and add a line for each row as it ends."""
    path = path or data_dir() / FILE
    done = {row.key for row in recorded(path)} if path.exists() else set()
    for key in asked():
        if key not in done:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(measure(*key)), separators=(",", ":")) + "\n")


def recorded(path: Path | None = None) -> list[Surface]:
    """Return every recorded row."""
    lines = (path or data_file(FILE)).read_text(encoding="utf-8").splitlines()
    return [_row(json.loads(line)) for line in lines]


def measure(text: str, way: str) -> Surface:
    """Compute one surface, and search on it."""
    bank, how = adapters(THREE), WAYS[way]
    losses = [[round(at(bank, how, [total * part / PARTS for part in point], text), 4) for point in POINTS]
        for total in TOTALS]  # fmt: skip
    tried, objectives, found = search(bank, how, text)
    return Surface(
        text, way, tuple(map(tuple, losses)), tuple(tuple(round(w, 3) for w in one) for one in tried),
        tuple(round(each, 4) for each in objectives), round(found, 4), round(at(bank, how, (0, 0, 0), text), 4),
        device(), versions(), datetime.date.today().isoformat(),
    )  # fmt: skip


def at(bank: Mapping[str, State], how: Combine, weights: object, text: str) -> float:
    """Return the loss on a text with these weights."""
    base = load("tiny").model
    with attached(base, combined(bank, dict(zip(bank, weights, strict=True)), how)):
        return loss(base, text)


def search(bank: Mapping[str, State], how: Combine, text: str) -> tuple[list[tuple[float, ...]], list[float], float]:
    """Return what LoRAHub tries, what it thinks of each, and the loss on the text of what it settles on."""
    tried: list[tuple[float, ...]] = []

    def watched(pairs, weights):
        if not tried or tried[-1] != tuple(weights):
            tried.append(tuple(weights))
        return how(pairs, weights)

    few, base = examples(text, K, SEED), load("tiny").model
    best = compose(base, bank, lambda model: language_loss(model, few), how=watched, budget=TRIES, progress=False)
    with attached(base, best.adapter):
        return tried[: len(best.objectives)], list(best.objectives), loss(base, text)


def _row(entries: dict) -> Surface:
    for name in ("losses", "path"):
        entries[name] = tuple(map(tuple, entries[name]))
    return Surface(**{**entries, "objectives": tuple(entries["objectives"])})
