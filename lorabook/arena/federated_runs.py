"""Clients who each hold one short piece of the Bible, and adapters that learn from them under more and more noise.

    python -c "from lorabook.arena.federated_runs import record; record()"

runs what the file does not have yet. Noise of deviation σC/L on each number of the mean is what L clients a round get.
Here `COHORT` clients come, on average, and the noise is that of a larger round: a run is made for a ratio z = σ/L, and
stands for every σ and L of that ratio, as if the mean over `COHORT` clients were the mean over L. That makes it no
better than it would be: a mean over more clients is steadier. `CHECKS` are the runs that show it.

Each client takes one step, at a rate so high that every change is clipped: C alone decides how far a round goes. Every
side has the best C for its z, by the loss at the end on a seed of its own.

Source: McMahan et al. 2018 (1710.06963), section 4: measured with few clients, accounted for as many.
"""

import copy
import datetime
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from itertools import repeat
from pathlib import Path

import torch

from lorabook.arena.run import device, versions
from lorabook.axes.form.dylora import Nested, truncate
from lorabook.axes.optim.private import Noise
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.recipe import Recipe
from lorabook.many.federated import Client, DPDyLoRA, Federation, ServerStep, federate
from lorabook.models.load import load
from lorabook.models.paths import data_dir, data_file
from lorabook.tasks import text

FILE = "recorded/federated.jsonl"
TARGETS, CHARACTERS, LENGTH, PIECES = "_proj", 400_000, 64, 24
COHORT, LOCAL_RATE = 8, 50.0
ROUNDS = (4, 8, 16)
"""After how many a run is looked at."""
RANKS, TRAINED = (1, 2, 4, 8), (1, 8)
"""The ranks that DP-DyLoRA is served at, and those that LoRA is trained at."""
NOISES = (0.0, 2.0**-8, 2.0**-7, 2.0**-6)
"""z = σ/L: the deviation of the noise in one number of the mean, in units of C."""
CLIPS = tuple(2.0**k for k in range(-4, 4))
SEEDS, TUNING_SEED = (0, 1, 2, 3, 4), 100
DYLORA = "DP-DyLoRA"


def _lora(r: int, _seed: int) -> Recipe:
    return LoRA(r=r, alpha=2 * r) | Recipe(optim=ServerStep())


@dataclass(frozen=True)
class Side:
    """What is trained, from a seed, and the ranks that it is served at."""

    recipe: Callable[[int], Recipe]
    ranks: tuple[int, ...]


SIDES: dict[str, Side] = {
    DYLORA: Side(lambda seed: DPDyLoRA(r=8, alpha=16, seed=seed), RANKS),
    **{f"LoRA r={r}": Side(partial(_lora, r), (r,)) for r in TRAINED},
}


@dataclass(frozen=True)
class FederatedRun:
    """One run: the base's loss on the text of clients who never came, and that after each of `ROUNDS` at each rank."""

    side: str
    z: float
    C: float
    seed: int
    cohort: int
    start: float
    scores: list[list[float]]
    device: str
    versions: str
    date: str

    @property
    def key(self) -> tuple[str, float, float, int, int]:
        """What was asked for."""
        return self.side, self.z, self.C, self.seed, self.cohort

    @property
    def end(self) -> float:
        """The last losses, mean over the ranks that are served."""
        return sum(self.scores[-1]) / len(self.scores[-1])


CHECKS = (("LoRA r=1", 2.0**-6),)
"""Sides and noises that are run with four times the clients as well."""


def record(path: Path | None = None) -> None:
    """Run what is missing in the file, a line for each run as it ends (some minutes on a quiet core)."""
    path = path or data_dir() / FILE
    while missing := next(asked(read(path) if path.exists() else []), None):
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(run(*missing)), separators=(",", ":")) + "\n")


def read(path: Path | None = None) -> list[FederatedRun]:
    """Return every recorded run."""
    lines = (path or data_file(FILE)).read_text(encoding="utf-8").splitlines()
    return [FederatedRun(**json.loads(line)) for line in lines]


def asked(runs: Sequence[FederatedRun]) -> Iterator[tuple[str, float, float, int, int]]:
    """Yield what belongs to the record and is not there yet, as far as it can be known by now."""
    done = {run.key: run.end for run in runs}
    for name in SIDES:
        for z in NOISES:
            tried = {C: done[key] for C in CLIPS if (key := (name, z, C, TUNING_SEED, COHORT)) in done}
            if (C := _next(tried, z)) is not None:
                yield name, z, C, TUNING_SEED, COHORT
                continue
            best = min(tried, key=tried.__getitem__)
            sizes = (COHORT, 4 * COHORT) if (name, z) in CHECKS else (COHORT,)
            keys = ((name, z, best, seed, cohort) for cohort in sizes for seed in SEEDS)
            yield from (key for key in keys if key not in done)


def _next(tried: dict[float, float], z: float) -> float | None:
    """Return the C to try next: from 2, or 1 in loud noise, until the best one has worse neighbours or none at all."""
    if not tried:
        return 2.0 if z < 2.0**-7 else 1.0
    place = CLIPS.index(min(tried, key=tried.__getitem__))
    around = CLIPS[max(0, place - 1) : place + 2]
    return next((C for C in around if C not in tried), None)


@cache
def corpus() -> text.Corpus:
    """Return the last 400,000 characters of the Bible in tokens."""
    return text.tokenize("kjv", text.read("kjv")[-CHARACTERS:], load("tiny").tokenizer)


@cache
def clients() -> list[Client]:
    """Return one client for each piece of 64 tokens."""
    rows = corpus().train
    rows = rows[: len(rows) // (LENGTH + 1) * (LENGTH + 1)].view(-1, LENGTH + 1)
    return [partial(repeat, (row[None, :-1], row[None, 1:])) for row in rows]


def run(name: str, z: float, C: float, seed: int, cohort: int) -> FederatedRun:
    """Train once, and look at every rank after each of `ROUNDS`."""
    side, base = SIDES[name], load("tiny").model
    model, everyone, scores = copy.deepcopy(base), clients(), []
    inject(model, side.recipe(seed), TARGETS, torch.Generator().manual_seed(seed))
    secret = torch.Generator().manual_seed(1000 + seed)
    noise = Noise(C, z * cohort, cohort)
    federation = Federation(everyone, cohort / len(everyone), noise, 1, LOCAL_RATE, secret, text.language_loss)

    def look(t: int, _loss: float) -> None:
        if t + 1 in ROUNDS:
            scores.append([round(score(model, b), 4) for b in side.ranks])

    federate(model, federation, rounds=ROUNDS[-1], lr=1.0, on_round=look, progress=False)
    today = datetime.date.today().isoformat()
    return FederatedRun(name, z, C, seed, cohort, round(_start(), 4), scores, device(), versions(), today)


def score(model: torch.nn.Module, b: int) -> float:
    """Return the loss on the text of clients who never came; a nested adapter is served at rank b, for this once."""
    nested = [module for module in model.modules() if isinstance(module, Nested)]
    if not nested:
        return text.evaluate(model, corpus(), LENGTH, PIECES).nats_per_token
    drawn = nested[0].b
    truncate(model, b)
    try:
        return text.evaluate(model, corpus(), LENGTH, PIECES).nats_per_token
    finally:
        truncate(model, drawn)


@cache
def _start() -> float:
    return text.evaluate(load("tiny").model, corpus(), LENGTH, PIECES).nats_per_token
