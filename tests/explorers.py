"""Every explorer of the book, small enough for a test: a new one is added to BUILD and is swept with the others."""

import math
import re
import tempfile
from collections.abc import Callable, Iterator
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lorabook.arena.allocation_runs import AllocationRun
from lorabook.arena.allocation_runs import asked_for as asked_of_allocation
from lorabook.arena.allocation_trace import TIMES, packed
from lorabook.arena.allocation_ways import SCORE, Asked
from lorabook.arena.answers import Answers, Compared, write
from lorabook.arena.baseline_curves import PLACES as BASELINES
from lorabook.arena.baseline_curves import Curve
from lorabook.arena.clinic_course import LOOKS, STOPS
from lorabook.arena.clinic_course import STEPS as CLINIC_STEPS
from lorabook.arena.clinic_runs import ClinicRun
from lorabook.arena.clinic_runs import asked as asked_of_the_clinic
from lorabook.arena.cut_runs import PLAIN, SIDES, CutRun, R, asked
from lorabook.arena.cuts import CUTS
from lorabook.arena.drop_losses import gathered as gathered_drops
from lorabook.arena.drop_runs import ALL as DROP_ALL
from lorabook.arena.drop_runs import DropRun
from lorabook.arena.drop_runs import asked as asked_of_drops
from lorabook.arena.drop_ways import WAYS as DROP_WAYS
from lorabook.arena.epsilons import ROUNDS as SPENT_AFTER
from lorabook.arena.epsilons import Epsilons
from lorabook.arena.epsilons import keys as keys_of_epsilons
from lorabook.arena.experiment import at
from lorabook.arena.federated_losses import gathered as gathered_federated
from lorabook.arena.federated_runs import ROUNDS as FEDERATED_ROUNDS
from lorabook.arena.federated_runs import SIDES as FEDERATED_SIDES
from lorabook.arena.federated_runs import FederatedRun
from lorabook.arena.federated_runs import asked as asked_of_federated
from lorabook.arena.hub_surface import POINTS, TOTALS, Surface
from lorabook.arena.hub_surface import asked as asked_of_surfaces
from lorabook.arena.job import REPORT_SEEDS, TUNING_SEEDS, Row
from lorabook.arena.own_model import BASE, OwnRun, example
from lorabook.arena.own_model import asked as asked_of_own_model
from lorabook.arena.plan import around
from lorabook.arena.rank_runs import STEPS, RankRun
from lorabook.arena.rank_runs import asked as asked_of_ranks
from lorabook.arena.rate_runs import RATES_A, RateRuns
from lorabook.arena.rate_runs import asked as asked_of_rates
from lorabook.arena.record import Record
from lorabook.arena.serving_costs import ASKED, Cost
from lorabook.arena.task import Task
from lorabook.arena.turns import WAYS, Run
from lorabook.arena.turns_record import RATES, SEEDS, TUNING_SEED
from lorabook.arena.turns_record import Row as Turns
from lorabook.arena.where_losses import gathered as gathered_where
from lorabook.arena.where_runs import CHOICES, FIRST, WhereRun
from lorabook.arena.where_runs import REPORT_SEEDS as WHERE_SEEDS
from lorabook.arena.where_runs import TUNING_SEED as WHERE_TUNING_SEED
from lorabook.book.explore.allocation import explore_allocation
from lorabook.book.explore.allocation import gathered as gathered_allocation
from lorabook.book.explore.baselines import explore_baselines
from lorabook.book.explore.blocks import blocks
from lorabook.book.explore.chat_mask import MASKS, explore_masks, trained_tokens
from lorabook.book.explore.chat_mask import gathered as gathered_masks
from lorabook.book.explore.choose import choose
from lorabook.book.explore.clinic import explore_runs as explore_clinic
from lorabook.book.explore.codebook import codebook
from lorabook.book.explore.columns import explore as explore_columns
from lorabook.book.explore.cuts import explore_cuts, gathered
from lorabook.book.explore.drop import LAYERS, explore_drops
from lorabook.book.explore.explorer import Explorer
from lorabook.book.explore.forgetting import explore_rows
from lorabook.book.explore.form_fits import Fits
from lorabook.book.explore.form_fits import measure as measure_fits
from lorabook.book.explore.forms import explore_fits
from lorabook.book.explore.groups import shifted_groups
from lorabook.book.explore.kept import kept_for_backward
from lorabook.book.explore.kronecker import kronecker
from lorabook.book.explore.measured import measured
from lorabook.book.explore.memory import memory_calculator
from lorabook.book.explore.one_row import one_row
from lorabook.book.explore.principal import decompose, explore
from lorabook.book.explore.privacy import explore_privacy
from lorabook.book.explore.ranks import explore_ranks
from lorabook.book.explore.ranks import gathered as gathered_ranks
from lorabook.book.explore.rates import explore_rates
from lorabook.book.explore.rates import gathered as gathered_rates
from lorabook.book.explore.scale import Sizes, explore_sizes, measure
from lorabook.book.explore.serving import Day, days, explore_days
from lorabook.book.explore.spectrum import Key, spectrum
from lorabook.book.explore.standings import standings
from lorabook.book.explore.telescoping import telescoping
from lorabook.book.explore.term_fits import Fits as TermFits
from lorabook.book.explore.term_fits import measure as measure_terms
from lorabook.book.explore.terms import explore_terms
from lorabook.book.explore.training import on_models
from lorabook.book.explore.training_models import Model
from lorabook.book.explore.training_recorded import Recorded, recorded
from lorabook.book.explore.training_state import SMOLLM2, TINY
from lorabook.book.explore.triangle import explore_surfaces
from lorabook.book.explore.vectors import shared_vectors
from lorabook.book.explore.where import explore_where, mask
from lorabook.core.training_step import Batch
from lorabook.models.decoder import Decoder, DecoderConfig
from lorabook.models.load import load
from lorabook.tasks.chat import parts
from lorabook.tasks.text import Corpus, batches, evaluate, language_loss

SHAPE = DecoderConfig(vocab=20, hidden=64, layers=2, heads=2, kv_heads=2, d_head=32, ffn=96, context=16)


def seeded() -> torch.Generator:
    """The tests' randomness."""
    return torch.Generator().manual_seed(0)


def deltas() -> dict[Key, Tensor]:
    """Four updates whose singular values halve, one direction after the other."""
    draw = seeded()
    sizes = {"q_proj": (24, 24), "k_proj": (7, 24)}
    shapes = {("CAPITALS", layer, matrix): size for layer in range(2) for matrix, size in sizes.items()}

    def one(rows: int, columns: int) -> Tensor:
        sides = [(torch.randn(rows, 1, generator=draw), torch.randn(1, columns, generator=draw)) for _ in range(6)]
        return sum(0.5**k * b @ a for k, (b, a) in enumerate(sides))

    return {key: one(*shape) for key, shape in shapes.items()}


class Counting(Task):
    """A text in which every token is followed by the next number, for a random decoder: a run takes a moment."""

    name, targets, unit = "counting", "_proj", "nats per token"
    loss = staticmethod(language_loss)

    def __init__(self, steps: int = 6, shape: DecoderConfig = SHAPE) -> None:
        self.steps, self.shape = steps, shape

    @cached_property
    def base(self) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return Decoder(self.shape).eval()

    @cached_property
    def corpus(self) -> Corpus:
        tokens = torch.arange(600) % self.shape.vocab
        return Corpus("counting", tokens[:500], tokens[500:], 100)

    def stream(self, seed: int) -> Iterator[Batch]:
        return batches(self.corpus, 4, 16, torch.Generator().manual_seed(seed))

    def score(self, model: nn.Module) -> float:
        return evaluate(model, self.corpus, 16).nats_per_token

    def old(self, model: nn.Module) -> float:
        return 0.0

    def more(self, model: nn.Module) -> dict[str, float]:
        return {}


NOT_HERE = "SmolLM2's weights are not installed here."


def models(task: Counting) -> dict[str, Model]:
    """The bases of a training explorer: one that trains in a moment, and one whose weights are not there."""
    return {TINY: Model(task, task.shape), SMOLLM2: Model(task, task.shape, NOT_HERE)}


def records(task: Task, rows: list[Row]) -> dict[str, Recorded]:
    """The same rows for both bases."""
    return {model: recorded(rows, task.name, model) for model in (TINY, SMOLLM2)}


def training(
    steps: int = 6, variant: str = "LoRA", rows: list[Row] | None = None, task: Counting | None = None
) -> Explorer:
    """The training explorer on that decoder, with the rows of a record."""
    task = task or Counting(steps)
    return on_models(models(task), records(task, rows or []), variant)


@cache
def sizes() -> Sizes:
    """The measurement behind the scale explorer, once for all tests."""
    return measure(seeded(), seeds=2)


@cache
def fits() -> Fits:
    """The fits behind the form explorer, once for all tests."""
    return measure_fits(seeded())


@cache
def term_fits() -> TermFits:
    """The fits behind the terms explorer, once for all tests."""
    return measure_terms(seeded())


def of_chapter_size(name: str) -> Explorer:
    """An explorer as large as in its chapter; the spectra are of random matrices with the shipped base's shapes."""
    if name != "spectrum":
        return BUILD[name]()
    shapes = {name: layer.weight.shape for name, layer in load("tiny").model.named_modules() if name.endswith("_proj")}
    draw, jobs = seeded(), ("CAPITALS", "Bible")
    keys = {name: (int(name.split(".")[1]), name.rpartition(".")[2]) for name in shapes}
    changes = {(job, *keys[name]): torch.randn(s, generator=draw) for job in jobs for name, s in shapes.items()}
    return spectrum(changes, draw)


def pretrained() -> dict[tuple[int, str], Tensor]:
    """Two layers of random matrices, wide, tall and small, with one direction that stands out."""
    draw, sizes = seeded(), {"q_proj": (64, 96), "k_proj": (16, 96)}

    def one(rows: int, columns: int) -> Tensor:
        sides = torch.randn(rows, 1, generator=draw), torch.randn(1, columns, generator=draw)
        return torch.randn(rows, columns, generator=draw) + sides[0] @ sides[1]

    return {(layer, matrix): one(*size) for layer in range(2) for matrix, size in sizes.items()}


def pretended_record() -> Record:
    """A record of three contenders on two tasks, as if it had been measured, and what was decided of it."""
    folder = Path(tempfile.mkdtemp())
    record = Record(folder)
    for name, best in (("LoRA", 3.0), ("DoRA", 2.9), ("full fine-tuning", 2.8)):
        for task in ("kjv", "digits"):
            place = at(name, task)
            rates = [(lr, seed) for lr in around(0.008) for seed in TUNING_SEEDS]
            for lr, seed in rates + [(0.008, seed) for seed in REPORT_SEEDS]:
                score = best + abs(lr - 0.008) + seed / 1e4
                record.add(
                    Row(
                        *place.job(lr, seed), state="finished", size=8, trained=1000, start=4.0, score=score,
                        forgotten=0.2, backward_bytes=4096, optimizer_bytes=8192, step_ratio=1.1, seconds=2.0,
                        loss10=1.5, norm10=3.25, base="abc",
                    )
                )  # fmt: skip
    write(Answers((), (Compared("DoRA", "kjv", "equal", 10, -0.1, 1e-4, 0.01, "better"),)), folder)
    return record


def clinic_runs() -> list[ClinicRun]:
    """A record of the clinic as if it had been measured: a high rate rises, float16 is NaN."""
    runs = []
    for patient, how in asked_of_the_clinic():
        off = 60 * how.lr * how.alpha / how.r - 1
        came = 1 if how.dtype == "float16" else CLINIC_STEPS
        seen = [None if how.old and step % 4 == 0 else 4.0 - step / 100 for step in range(1, came + 1)]
        new = [round(4.1 + off * step / 100, 3) for step in LOOKS if step <= came]
        drift = [round(how.lr * step, 3) for step in STOPS if step <= came]
        runs.append(ClinicRun(patient, how.label, 4.1, seen, new, drift, "CPU, torch, 2026-11-27"))
    return runs


def rank_runs(*seeds: int) -> list[RankRun]:
    """A record of ranks as if it had been measured: Adam's law, and a loss that rises where s·r·rate is above 1."""

    def one(scale: str, r: int, lr: float, seed: int) -> RankRun:
        speed = lr * 16 * (1 if scale == "α/r" else r**0.5)
        curve = tuple(4.4 - 0.01 * seed - step / 60 * min(speed, 2 - speed) for step in STEPS)
        return RankRun(scale, r, lr, seed, 4.4, curve, "CPU", "torch", "2026-11-27")

    return [one(*key) for key in asked_of_ranks(seeds)]


def rate_runs() -> list[RateRuns]:
    """A record of the plane of two rates as if it had been measured: B's best rate is one, A's falls with the width."""

    def one(width: int, rate_b: float, seed: int) -> RateRuns:
        off = [abs(math.log2(rate_b / 0.0256)), *(abs(math.log2(rate_a * width / 0.4096)) for rate_a in RATES_A)]
        losses = tuple(3.0 + seed / 100 + 0.1 * off[0] + 0.05 * each for each in off[1:])
        return RateRuns(width, rate_b, seed, 7.0, losses, "CPU", "torch", "2026-11-27")

    return [one(*key) for key in asked_of_rates()]


def cut_runs() -> list[CutRun]:
    """A record of cuts as if it had been measured: a loss that falls with the rank, and is best at the middle rate."""
    runs: list[CutRun] = []
    while missing := [key for key in asked(runs) if key not in {run.key for run in runs}]:
        for name, lr, seed in missing:
            side = SIDES[name]
            ranks = range(1, R + 1) if side.r == R else (side.r,)
            off = abs(side.rates.index(lr) - 1) / 10 + seed % 10 / 100 + 0.2 * (name != PLAIN)
            scores = {kind: [4.0 + off + 0.1 * k - b / 20 for b in ranks] for k, kind in enumerate(CUTS)}
            runs.append(CutRun(name, lr, seed, 4.4, scores, "CPU", "torch", "2026-11-27"))
    return runs


def drop_runs() -> list[DropRun]:
    """A record of thresholds as if it had been measured: who keeps follows from a threshold alone, so does the loss."""
    runs: list[DropRun] = []
    effect = tuple(2.0 * (i + 1) / (len(LAYERS) * (len(LAYERS) + 1)) for i in range(len(LAYERS)))
    while missing := [key for key in asked_of_drops(runs) if key not in {run.key for run in runs}]:
        for way, t, step, seed in dict.fromkeys(missing):
            many, shares = round(t * len(LAYERS)), (effect, effect[::-1]) if t == DROP_ALL else ((), ())
            kept = tuple(range(many) if way == DROP_WAYS[1] else range(len(LAYERS) - many, len(LAYERS)))
            score = 4.0 - 0.1 * t + 0.01 * DROP_WAYS.index(way) + abs(step - 6) / 50 + seed / 1e4
            runs.append(
                DropRun(way, t, step, seed, 4.4, score, 4000 * many, kept, *shares, "CPU", "torch", "2026-11-27")
            )
    return runs


def where_runs() -> list[WhereRun]:
    """A record of places as if it had been measured: each matrix adds its own, and the first rate is the best."""
    runs = [(step, WHERE_TUNING_SEED) for step in (FIRST, FIRST - 1, FIRST + 1)]
    runs += [(FIRST, seed) for seed in WHERE_SEEDS]

    def score(where: str, step: int, seed: int) -> float:
        return round(4.4 - mask(where) ** 0.5 / 20 + abs(step - FIRST) / 50 + seed / 1e4, 4)

    return [
        WhereRun(where, 8, step, seed, 4.4, score(where, step, seed), "CPU", "torch", "2026-11-27")
        for where in CHOICES
        for step, seed in runs
    ]


def allocation_runs() -> list[AllocationRun]:
    """A record of allocations as if it had been measured: scores of four matrices, of which the last ones are kept."""
    draw, runs = seeded(), list[AllocationRun]()

    def run(asked: Asked) -> AllocationRun:
        scores = 10 ** (-12 + 8 * torch.rand(len(TIMES), 4, 6, generator=draw))
        lives = torch.stack(
            [torch.ones(4, 6) if t <= asked.warm_up else torch.arange(24).view(4, 6) > 15 for t in TIMES]
        )
        trace = packed(scores, lives.bool()) if (asked.way, asked.seed) == (SCORE, 0) else None
        score = 4.0 + abs(asked.lr - 0.016) + asked.seed / 1e4 - asked.target / 10
        return AllocationRun(asked, 4.4, score, (0, 0, 2, 6), (4.0,), 0.5, 1, trace, "CPU", "torch", "2026-11-27")

    while missing := [key for key in asked_of_allocation(runs) if key not in {run.asked for run in runs}]:
        runs += [run(key) for key in dict.fromkeys(missing)]
    return runs


def own_runs() -> list[OwnRun]:
    """A record of masks as if it had been measured: the more tokens are trained, the more is learnt and forgotten."""

    def one(name: str, seed: int) -> OwnRun:
        tokens = sum(map(len, own_tokens()))
        n = 0 if name == BASE else int(trained_tokens(name, own_tokens()).sum()) if name in MASKS else 8
        nats = [2.0 + k % 3 - min(n, 20) / 10 + seed / 100 for k in range(tokens - 1)]
        said = n * 8 // tokens
        return OwnRun(name, seed, [3.0, 2.0], 2.0, said, said, 8, [], [], 8 - said, nats, "CPU", "torch", "2026-11-27")

    return [one(*key) for key in asked_of_own_model()]


def own_tokens() -> list[list[str]]:
    """The tokens of the chat that is shown, a word each."""
    return [re.findall(r"\s*\S+|\s+", part.text) for part in parts(example())]


def pretended_turns() -> list[Turns]:
    """Runs of three texts in turn, of every way at seven ranks and the rates, as if they had been recorded."""

    def run(way: int, r: int, seed: int) -> Run:
        losses = [[2 + 0.5 * i + abs(j - i) / (1 + way) + seed / 100 for j in range(4)] for i in range(4)]
        return Run(tuple(map(tuple, losses)), (0.5 / (1 + way), 0.4 / r, 0.1), 1 - 0.9 / r)

    return [
        Turns(name, r, lr, seed, run(way, r, seed), 1.0, "abc", "CPU", "torch", "2026-01-01")
        for way, name in enumerate(WAYS)
        for r in (1, 2, 4, 8, 16, 32, 64)
        for lr in RATES
        for seed in (SEEDS if lr == RATES[1] else [TUNING_SEED])
    ]


def surfaces() -> list[Surface]:
    """Surfaces as if they had been computed: the first text wants the second adapter, and the other the third."""

    def one(place: int, text: str, way: str) -> Surface:
        losses = [[4 - total * point[1 + place % 2] / 10 + point[0] / 20 for point in POINTS] for total in TOTALS]
        path = ((0.0, 0.0, 0.0), (0.5, -0.2, 1.0), (-0.1, 1.2, 0.3), (-1.0, -1.0, -0.5))
        return Surface(
            text, way, tuple(map(tuple, losses)), path, (4.0, 3.9, 3.2, 3.5), 3.0, 4.0, "CPU", "torch", "2026-11-27"
        )

    return [one(place, *key) for place, key in enumerate(asked_of_surfaces())]


def federated_runs() -> list[FederatedRun]:
    """A record of federated runs as if it had been measured: noise costs larger ranks more, and 1/2 is the best C."""

    def one(name: str, z: float, C: float, seed: int, cohort: int) -> FederatedRun:
        cost = [4.3 - t / 100 + abs(math.log2(2 * C)) / 50 + seed / 1e4 for t in FEDERATED_ROUNDS]
        scores = [[loss + z * b for b in FEDERATED_SIDES[name].ranks] for loss in cost]
        return FederatedRun(name, z, C, seed, cohort, 4.3, scores, "CPU", "torch", "2026-11-27")

    runs: list[FederatedRun] = []
    while missing := list(asked_of_federated(runs)):
        runs += [one(*key) for key in missing]
    return runs


def epsilons() -> Epsilons:
    """A table of ε as if it had been computed."""
    return {(n, cohort, s): [cohort / n / s * t**0.5 for t in SPENT_AFTER] for n, cohort, s in keys_of_epsilons()}


def serving_costs() -> list[Cost]:
    """A record of steps as if it had been measured: a mixed one takes twice as long, and more the larger the rank."""

    def cost(rows: int, adapters: int, ranks: tuple[int, ...]) -> Cost:
        base, swap = 2.4e-3 + 1e-4 * rows, 1e-3 + 4e-5 * ranks[0]
        mixed, merged = base * (2 + max(ranks) / 64), adapters * (swap + 2.4e-3 + 1e-4 * rows / adapters)
        times = [(each, each * 1.01, each * 0.99) for each in (base, mixed, merged, swap, 1.1 * swap)]
        return Cost(rows, adapters, ranks, *times, device="CPU", versions="torch", date="2026-11-27")

    return [cost(*asked) for asked in ASKED]


@cache
def serving_days() -> Callable[[str, int, str, int], Day]:
    """The runs behind the serving explorer, each played once for all tests."""
    return days(serving_costs())


def baseline_curves() -> dict[tuple[str, str], Curve]:
    """Four ways to learn as if they had been measured: the more numbers, the lower; the prefix forgets untrained."""

    def one(i: int, name: str) -> Curve:
        losses = 4.4 - np.linspace(0, 0.8 - 0.1 * i, 5)
        forgotten = np.linspace(0.15 * (i >= 4), 0.6, 5)
        return Curve(
            name, (0.0, 1e-3, 2e-3, 4e-3, 8e-3), losses, forgotten, 3, 1000 * (6 - i), 2**20, 2**21, 1.1, 1.0 + i
        )

    return {place: one(i, name) for i, (place, name) in enumerate(BASELINES.items())}


BUILD: dict[str, Callable[[], Explorer]] = {
    "allocation": lambda: explore_allocation(gathered_allocation(allocation_runs(), cut_runs())),
    "forgetting": lambda: explore_rows(pretended_turns()),
    "measured": lambda: measured("DoRA", record=pretended_record()),
    "spectrum": lambda: spectrum(deltas(), seeded()),
    "standings": lambda: standings(record=pretended_record()),
    "principal": lambda: explore(decompose(pretrained())),
    "columns": lambda: explore_columns(pretrained()),
    "privacy": lambda: explore_privacy(gathered_federated(federated_runs()), epsilons()),
    "scale": lambda: explore_sizes(sizes()),
    "ranks": lambda: explore_ranks(gathered_ranks(rank_runs(0, 1))),
    "rates": lambda: explore_rates(gathered_rates(rate_runs())),
    "clinic": lambda: explore_clinic(clinic_runs()),
    "chat_mask": lambda: explore_masks(gathered_masks(own_runs(), own_tokens())),
    "codebook": lambda: codebook(seeded()),
    "baselines": lambda: explore_baselines(baseline_curves()),
    "blocks": lambda: blocks(seeded()),
    "groups": shifted_groups,
    "kept": kept_for_backward,
    "kronecker": lambda: kronecker(seeded()),
    "forms": lambda: explore_fits(fits()),
    "cuts": lambda: explore_cuts(gathered(cut_runs())),
    "triangle": lambda: explore_surfaces(surfaces()),
    "telescoping": telescoping,
    "drop": lambda: explore_drops(gathered_drops(drop_runs(), cut_runs())),
    "vectors": lambda: shared_vectors(seeded()),
    "choose": choose,
    "memory": memory_calculator,
    "one_row": one_row,
    "terms": lambda: explore_terms(term_fits()),
    "where": lambda: explore_where(gathered_where(where_runs())),
    "serving": lambda: explore_days(serving_days()),
    "training": training,
}
