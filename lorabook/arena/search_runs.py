"""GLoRA's whole method on digits lying on their side: a supernet, an evolutionary search, and what they are worth.

    python -c "from lorabook.arena.search_runs import record; record()"

trains what the file does not have yet. A run is the arena's own training of a contender, on three quarters of the
training pictures; the others, held out, choose its rate and are what a search tries its candidates on. All that is
reported is measured on the test pictures. Drawing is the same search with no children: every round is drawn anew.
"""

import copy
import datetime
import json
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from lorabook.arena.job import TUNING_SEEDS
from lorabook.arena.method import Training, train_once
from lorabook.arena.on_digits import TurnedDigits
from lorabook.arena.run import device, versions
from lorabook.axes.form.glora import SIZES, GLoRA, GLoRAForm
from lorabook.axes.form.glora_subnet import Configuration, kinds_in_use
from lorabook.axes.rule.evolution import Evolution
from lorabook.axes.rule.glora_draw import DrawnKinds, GLoRASupernet
from lorabook.axes.rule.glora_search import search_kinds
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.recipe import Recipe
from lorabook.models.paths import data_dir, data_file
from lorabook.tasks import digits

FILE = "recorded/search.jsonl"
REPORT_SEEDS = (0, 1, 2, 3, 4)
STEPS, BATCH, R = 400, 64, 3
HELD_OUT = 4
"""Every fourth training picture is held out."""
EVOLUTION = Evolution(population=20, parents=5, crossovers=8, mutations=8, rounds=20)
WAYS = {"evolution": EVOLUTION, "draws": replace(EVOLUTION, crossovers=0, mutations=0)}
SUPERNET, WINNER, DRAWN = "supernet", "winner alone", "drawn kinds alone"
SMALL = "LoRA r=4"
TASK = TurnedDigits()


@dataclass(frozen=True)
class Side:
    """What is put into every layer, and the rates that are tried."""

    recipe: Callable[[int], Recipe]
    rates: tuple[float, ...]


SIDES: dict[str, Side] = {
    "LoRA": Side(lambda _seed: LoRA(2 * R, 4 * R), (8e-3, 16e-3, 32e-3)),
    SMALL: Side(lambda _seed: LoRA(4, 8), (4e-3, 8e-3, 16e-3)),
    "GLoRA": Side(lambda _seed: GLoRA(R), (16e-3, 32e-3, 64e-3, 128e-3)),
    SUPERNET: Side(lambda seed: GLoRASupernet(R, seed=seed), (8e-3, 16e-3, 32e-3)),
}
"""LoRA has about GLoRA's numbers; with rank 4, the winners'. Kinds that train alone have GLoRA's rate."""


@dataclass(frozen=True)
class SearchRun:
    """One training: loss in nats on held-out and on test pictures, and how many numbers were in use there.

    A supernet counts as what the search found in it; `tried` has the held-out loss of every candidate in order, by
    way, `drawn` the best of the draws and `largest` the whole supernet, each as held-out loss, test loss, numbers.
    `kinds` are those of A, B, C, D, E by layer.
    """

    side: str
    lr: float
    seed: int
    held: float
    test: float
    numbers: int
    tried: dict[str, list[float]]
    drawn: list[float]
    largest: list[float]
    kinds: dict[str, str]
    device: str
    versions: str
    date: str

    @property
    def key(self) -> tuple[str, float, int]:
        """What was asked for."""
        return self.side, self.lr, self.seed


def asked(runs: Sequence[SearchRun]) -> Iterator[tuple[str, float, int]]:
    """Yield every run that belongs to the record; those on report seeds once their rate is known."""
    for name, side in SIDES.items():
        yield from ((name, lr, seed) for lr in side.rates for seed in TUNING_SEEDS)
        if (lr := tuned(runs, name)) is not None:
            yield from ((name, lr, seed) for seed in REPORT_SEEDS)
        if name == SUPERNET and lr is not None:
            yield from ((alone, tuned(runs, "GLoRA"), seed) for seed in REPORT_SEEDS for alone in (WINNER, DRAWN))


def tuned(runs: Sequence[SearchRun], name: str) -> float | None:
    """Return the rate with the lowest held-out loss, None while one has not been tried on every tuning seed."""
    rates = SIDES[name].rates
    scores = {lr: [run.held for run in runs if run.key[:2] == (name, lr) and run.seed in TUNING_SEEDS] for lr in rates}
    known = {lr: statistics.fmean(each) for lr, each in scores.items() if len(each) == len(TUNING_SEEDS)}
    return min(known, key=known.__getitem__) if len(known) == len(rates) else None


def record(path: Path | None = None) -> None:
    """Train what is missing in the file, and add a line for each run as it ends.

    Raises:
        Diverged: a loss is no number any more.
    """
    path = path or data_dir() / FILE
    while True:
        runs = read(path) if path.exists() else []
        done = {run.key for run in runs}
        missing = next((key for key in asked(runs) if key not in done), None)
        if missing is None:
            return
        with path.open("a", encoding="utf-8") as file:
            line = json.dumps(asdict(train(*missing, runs)), ensure_ascii=False, separators=(",", ":"))
            file.write(line + "\n")


def read(path: Path | None = None) -> list[SearchRun]:
    """Return every recorded run."""
    lines = (path or data_file(FILE)).read_text(encoding="utf-8").splitlines()
    return [SearchRun(**json.loads(line)) for line in lines]


def train(name: str, lr: float, seed: int, runs: Sequence[SearchRun] = ()) -> SearchRun:
    """Train once; search a supernet. `runs` hold what the search of a seed has found."""
    model = copy.deepcopy(TASK.base)
    start = torch.Generator().manual_seed(seed)
    if name in SIDES:
        inject(model, SIDES[name].recipe(seed), TASK.targets, start)
    else:
        put_kinds(model, winner(runs, seed) if name == WINNER else drawn_kinds(seed), start)
    torch.manual_seed(seed)
    stream = digits.batches(pictures(), BATCH, torch.Generator().manual_seed(seed))
    train_once(model, Training(stream, STEPS, lr, TASK.loss, lambda _step, _loss: None))
    if name == SUPERNET:
        return _searched(lr, seed, model)
    numbers = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return _run(name, lr, seed, [*losses(model), numbers])


def _searched(lr: float, seed: int, model: nn.Module) -> SearchRun:
    """Search a supernet in both ways; on a tuning seed by evolution alone."""
    largest = [*losses(model), sum(p.numel() for p in model.parameters() if p.requires_grad)]
    found, tried = {}, {}
    for way, plan in WAYS.items():
        if way == "draws" and seed in TUNING_SEEDS:
            continue
        seen: list[float] = []

        def held(model: nn.Module, seen: list[float] = seen) -> float:
            seen.append(round(losses(model)[0], 4))
            return seen[-1]

        source = torch.Generator().manual_seed(seed)
        best = search_kinds(model, held, plan=plan, generator=source, progress=False)
        found[way] = [*losses(model), best.parameters], kinds_in_use(model)
        tried[way] = seen
    score, kinds = found["evolution"]
    if seed in TUNING_SEEDS:
        return _run(SUPERNET, lr, seed, score)
    return _run(SUPERNET, lr, seed, score, tried, found["draws"][0], largest, words(kinds))


def _run(
    name: str, lr: float, seed: int, score: Sequence[float], tried: dict[str, list[float]] | None = None,
    drawn: Sequence[float] = (), largest: Sequence[float] = (), kinds: Mapping[str, str] | None = None,
) -> SearchRun:  # fmt: skip
    held, test, numbers = score
    short = [[round(x, 4) for x in each] for each in (drawn, largest)]
    return SearchRun(
        name, lr, seed, round(held, 4), round(test, 4), int(numbers), tried or {}, *short, dict(kinds or {}), device(),
        versions(), datetime.date.today().isoformat(),
    )  # fmt: skip


@cache
def pictures() -> digits.Digits:
    """Return the training pictures; those held out stand where test pictures are."""
    turned = TASK.turned
    held = torch.arange(len(turned.train_y)) % HELD_OUT == HELD_OUT - 1
    return digits.Digits(
        turned.name, turned.train_x[~held], turned.train_y[~held], turned.train_x[held], turned.train_y[held]
    )


@torch.no_grad()
def losses(model: nn.Module) -> tuple[float, float]:
    """Return the loss on the held-out and on the test pictures."""
    parts = pictures(), TASK.turned
    held, test = (F.cross_entropy(model(part.test_x), part.test_y).item() for part in parts)
    return held, test


def winner(runs: Sequence[SearchRun], seed: int) -> Configuration:
    """Return what evolution found in the supernet of a seed."""
    (run,) = (run for run in runs if run.side == SUPERNET and run.seed == seed)
    return {name: GLoRAForm(*kinds.split()) for name, kinds in run.kinds.items()}


def drawn_kinds(seed: int) -> Configuration:
    """Return the first configuration that a supernet of this seed draws."""
    model = copy.deepcopy(TASK.base)
    inject(model, GLoRASupernet(R, seed=seed), TASK.targets, torch.Generator().manual_seed(seed))
    DrawnKinds(model, seed).begin(2)
    return kinds_in_use(model)


def put_kinds(model: nn.Module, kinds: Configuration, generator: torch.Generator) -> None:
    """Put a plain GLoRA of its own kinds into each layer; where all are none, the layer stays frozen as it is."""
    model.requires_grad_(False)
    for name, form in kinds.items():
        chosen = asdict(form)
        if set(chosen.values()) != {"none"}:
            inject(model, GLoRA(R, **chosen), name, generator)


def words(kinds: Configuration) -> dict[str, str]:
    """Return the kinds of each layer as five words."""
    return {name: " ".join(getattr(form, term) for term in SIZES) for name, form in kinds.items()}
