"""What a step of serving costs: many adapters in one mixed batch, or merged in turn, beside the bare base.

    python -c "from lorabook.arena.serving_costs import record; record()"

measures what the file lacks, about five minutes in all. A step is the book's decoder giving every request one position,
with all seven matrices of every layer adapted. Attention over earlier positions is left out: it is the same for every
way to serve. Sides take turns within a round, so that what else the machine does meets all of them; time is that of
this process on one core.
"""

import datetime
import json
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from lorabook.arena.run import device, versions
from lorabook.many.bank import bank, serving
from lorabook.many.pair import Pair, State
from lorabook.models.load import load
from lorabook.models.paths import data_dir, data_file

FILE = "recorded/serving.jsonl"
ROUNDS, LEAST = 9, 0.04
"""Rounds of a measurement, and the least seconds that a side is repeated for in each."""
RANKS: tuple[tuple[int, ...], ...] = ((8,), (8, 16, 32, 64), (64,))
"""The ranks that the adapters of a batch have, in turn."""
BATCH, SIZES = 64, (1, 2, 4, 8, 16, 32, 64)
ASKED = tuple(
    (rows, adapters, ranks)
    for ranks in RANKS
    for rows, adapters in (*((BATCH, k) for k in SIZES[:-1]), *((n, n) for n in SIZES))
)
"""Rows of a batch, adapters among them, and ranks: a large batch that is shared by more and more, and strangers."""


@dataclass(frozen=True)
class Cost:
    """Seconds of each round: of a step on the bare base, of it mixed, and of the same rows served merged in turn.

    swap: to merge one adapter, of the first rank, into the weights. copy: to copy it into the pool.
    """

    rows: int
    adapters: int
    ranks: tuple[int, ...]
    base: tuple[float, ...]
    mixed: tuple[float, ...]
    merged: tuple[float, ...]
    swap: tuple[float, ...]
    copy: tuple[float, ...]
    device: str
    versions: str
    date: str

    @property
    def key(self) -> tuple[int, int, tuple[int, ...]]:
        """What was asked for."""
        return self.rows, self.adapters, self.ranks


def ratio(side: Sequence[float], to: Sequence[float]) -> tuple[float, float, float]:
    """Return the lower quartile, median and upper quartile, over rounds, of one side's time over another's."""
    low, middle, high = statistics.quantiles((a / b for a, b in zip(side, to, strict=True)), n=4, method="inclusive")
    return low, middle, high


class Machine:
    """The book's base twice: with a bank of `BATCH` random adapters of each rank, and plain, to be merged into."""

    def __init__(self, ranks: Iterable[int]) -> None:
        self.plain, self.banked, ranks = load("tiny").model, load("tiny").model, set(ranks)
        self.whole = {name: m.weight for name, m in self.banked.named_modules() if name.endswith("_proj")}
        states = {f"{r}.{i}": self._random(r, i) for r in ranks for i in range(BATCH)}
        self.held = bank(self.banked, states, pages=BATCH * max(ranks))

    def _random(self, r: int, seed: int) -> State:
        generator = torch.Generator().manual_seed(seed)

        def pair(d_out: int, d_in: int) -> Pair:
            a, b = (torch.randn(shape, generator=generator) for shape in ((r, d_in), (d_out, r)))
            return Pair(a / d_in, b / r, 2.0)

        return {name: pair(*w.shape) for name, w in self.whole.items()}

    @torch.no_grad()
    def merge(self, name: str) -> None:
        """Write W₀ + s·BA of one adapter over the plain model's weights: exact, whatever was merged before."""
        for layer, pair in self.held.adapters[name].items():
            weight = self.plain.get_submodule(layer).weight
            torch.addmm(self.whole[layer], pair.B, pair.A, alpha=pair.scale, out=weight.data)

    def copy(self, name: str) -> None:
        """Copy one adapter into the pool, as if it had never been there."""
        if name in self.held.pages.owners:
            self.held.pages.drop(name)
        self.held.hold([name])
        self.held.pages.let_go([name])


@torch.no_grad()
def measure(machine: Machine, rows: int, adapters: int, ranks: tuple[int, ...], rounds: int = ROUNDS) -> Cost:
    """Time every side of one batch, in turn; a round before the first warms up."""
    chosen = [f"{ranks[i % len(ranks)]}.{i}" for i in range(adapters)]
    names, tokens = [chosen[n % adapters] for n in range(rows)], torch.arange(rows)[:, None]

    def step(model: nn.Module, count: int) -> object:
        return model(tokens[:count])

    def in_batch() -> None:
        with serving(machine.banked, names):
            step(machine.banked, rows)

    def in_turn() -> None:
        for name in chosen:
            machine.merge(name)
            step(machine.plain, rows // adapters)

    sides: dict[str, Callable[[], object]] = {
        "base": lambda: step(machine.plain, rows),
        "mixed": in_batch,
        "merged": in_turn,
        "swap": lambda: machine.merge(chosen[0]),
        "copy": lambda: machine.copy(chosen[0]),
    }
    times = [{name: _seconds(call) for name, call in sides.items()} for _ in range(rounds + 1)][1:]
    taken = {name: tuple(float(f"{one[name]:.4g}") for one in times) for name in sides}
    today = datetime.date.today().isoformat()
    return Cost(rows, adapters, ranks, **taken, device=device(), versions=versions(), date=today)


def _seconds(call: Callable[[], object]) -> float:
    """Return the processor time of one call, out of as many as fill `LEAST`."""
    once = _span(call, 1)
    return once if once >= LEAST else _span(call, round(LEAST / once))


def _span(call: Callable[[], object], count: int) -> float:
    began = time.process_time()
    for _ in range(count):
        call()
    return (time.process_time() - began) / count


def record(path: Path | None = None) -> None:
    """Measure what the file does not hold yet, and add a line for each measurement."""
    path, machine = path or data_dir() / FILE, Machine(r for ranks in RANKS for r in ranks)
    for asked in _missing(path):
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(measure(machine, *asked)), separators=(",", ":")) + "\n")


def _missing(path: Path) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    done = {cost.key for cost in read(path)} if path.exists() else set()
    return (asked for asked in ASKED if asked not in done)


def read(path: Path | None = None) -> list[Cost]:
    """Return every recorded measurement."""
    lines = (path or data_file(FILE)).read_text(encoding="utf-8").splitlines()
    return [Cost(**{k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(line).items()}) for line in lines]
