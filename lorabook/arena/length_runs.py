"""What training does to the rows of every matrix: LoRA, DoRA and full fine-tuning on the Bible, kept in one file.

    python -c "from lorabook.arena.length_runs import record; record()"

trains what the file does not have yet. A run is the arena's own run of `KJV` at its tuned rate. Two contenders differ
from DoRA in one thing: "m fixed" trains directions alone, "norm in the graph" does not hold ‖V‖ constant in the
backward pass. They are tuned here, over rates a √2 apart.
"""

import copy
import datetime
import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from lorabook.arena.budget import method_named
from lorabook.arena.dora_parts import FixedLengths, NormInGraph
from lorabook.arena.job import REPORT_SEEDS, TUNING_SEEDS
from lorabook.arena.matrices import effective, target_names
from lorabook.arena.method import Adapter, Method, Training
from lorabook.arena.run import device, versions
from lorabook.arena.tasks import KJV
from lorabook.core.adapted_layer import adapted
from lorabook.core.merge import merge
from lorabook.core.recipe import Recipe
from lorabook.cost.lengths import stretch, together, turn, with_lengths_of
from lorabook.models.paths import data_dir, data_file

FILE = "recorded/lengths.jsonl"
STEPS = (15, 30, 45, 60)
"""After how many steps the matrices are looked at: the paper has three on the way, and the last."""
SHOWN = "layers.2.self_attn.o_proj"
"""The matrix whose rows are kept one by one, for the first seed."""


@dataclass(frozen=True)
class Side:
    """Who trains, its rank, and the rates that are tried; one rate is the arena's tuned one."""

    method: Method
    r: int
    rates: tuple[float, ...]


AROUND = tuple(8e-3 * 2 ** (k / 2) for k in range(-1, 3))
FULL, FAR = "full fine-tuning", "full fine-tuning, LoRA's rate"
FIXED, IN_GRAPH = FixedLengths.name, "DoRA, norm in the graph"
SIDES: dict[str, Side] = {
    "LoRA": Side(method_named("LoRA"), 8, (8e-3,)),
    "DoRA": Side(method_named("DoRA"), 7, (8e-3,)),
    FULL: Side(method_named(FULL), 0, (1e-3 * 2**0.5,)),
    FAR: Side(method_named(FULL), 0, (8e-3,)),
    FIXED: Side(FixedLengths(), 7, AROUND),
    IN_GRAPH: Side(Adapter(IN_GRAPH, lambda r: Recipe(r, 2 * r, form=NormInGraph())), 7, AROUND),
}
"""Ranks and rates as in the arena at equal numbers of trained parameters: DoRA's lengths cost it one rank."""


@dataclass(frozen=True)
class LengthRun:
    """One training: the task's score, and what became of the rows; a tuning run has its score alone.

    directions, lengths: the score with the lengths of W₀ put back under the trained directions, and the reverse.
    moved: for each of `STEPS` and each matrix, means over rows of |stretch|, |stretch|/‖W₀_i‖ and turn.
    together: of each matrix at the end, the correlation over its rows of |stretch| and turn.
    shorter: the share of rows that are shorter than before, mean over matrices.
    rows: turn and stretch/‖W₀_i‖ of every row of `SHOWN`.
    """

    side: str
    lr: float
    seed: int
    score: float
    directions: float | None
    lengths: float | None
    moved: list[list[list[float]]]
    together: list[float]
    shorter: float | None
    rows: list[list[float]]
    device: str
    versions: str
    date: str

    @property
    def key(self) -> tuple[str, float, int]:
        """What was asked for."""
        return self.side, self.lr, self.seed


def asked(runs: Sequence[LengthRun]) -> Iterator[tuple[str, float, int]]:
    """Yield every run that belongs to the record; those on report seeds once the rate of their side is known."""
    for name, side in SIDES.items():
        if len(side.rates) > 1:
            yield from ((name, lr, seed) for lr in side.rates for seed in TUNING_SEEDS)
        if (lr := tuned(runs, name)) is not None:
            yield from ((name, lr, seed) for seed in REPORT_SEEDS)


def tuned(runs: Sequence[LengthRun], name: str) -> float | None:
    """Return the rate of a side, None while one of them has not been tried on every tuning seed."""
    rates = SIDES[name].rates
    if len(rates) == 1:
        return rates[0]
    scores = {lr: [run.score for run in runs if run.key[:2] == (name, lr) and run.seed in TUNING_SEEDS] for lr in rates}
    known = {lr: statistics.fmean(each) for lr, each in scores.items() if len(each) == len(TUNING_SEEDS)}
    return min(known, key=known.__getitem__) if len(known) == len(rates) else None


def record(path: Path | None = None) -> None:
    """Train what is missing in the file, and add a line for each run as it ends.

    Raises:
        Diverged: a loss is no number any more.
    """
    path = path or data_dir() / FILE
    while missing := next(_missing(path), None):
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(train(*missing)), ensure_ascii=False, separators=(",", ":")) + "\n")


def _missing(path: Path) -> Iterator[tuple[str, float, int]]:
    runs = read(path) if path.exists() else []
    done = {run.key for run in runs}
    return (key for key in asked(runs) if key not in done)


def read(path: Path | None = None) -> list[LengthRun]:
    """Return every recorded run."""
    lines = (path or data_file(FILE)).read_text(encoding="utf-8").splitlines()
    return [LengthRun(**json.loads(line)) for line in lines]


def train(name: str, lr: float, seed: int) -> LengthRun:
    """Train once, and look at the rows on the way and at the end."""
    side, model, moved = SIDES[name], copy.deepcopy(KJV.base), []
    names = target_names(KJV.base, KJV.targets)
    before = effective(KJV.base, names)

    def look(step: int, _loss: float) -> None:
        if step + 1 in STEPS and seed not in TUNING_SEEDS:
            after = effective(model, names)
            moved.append([_means(after[each], before[each]) for each in names])

    side.method.prepare(model, KJV.targets, side.r, torch.Generator().manual_seed(seed))
    torch.manual_seed(seed)
    side.method.train(model, Training(KJV.stream(seed), KJV.steps, lr, KJV.loss, look))
    score, today = round(KJV.score(model), 4), datetime.date.today().isoformat()
    if seed in TUNING_SEEDS:
        return LengthRun(name, lr, seed, score, None, None, [], [], None, [], device(), versions(), today)
    after = effective(model, names)
    pairs = [(after[each], before[each]) for each in names]
    return LengthRun(
        name, lr, seed, score,
        directions=_served(model, {each: with_lengths_of(before[each], after[each]) for each in names}),
        lengths=_served(model, {each: with_lengths_of(after[each], before[each]) for each in names}),
        moved=moved,
        together=[round(together(stretch(*pair).abs(), turn(*pair)).item(), 3) for pair in pairs],
        shorter=round(statistics.fmean((stretch(*pair) < 0).double().mean().item() for pair in pairs), 4),
        rows=_rows(after[SHOWN], before[SHOWN]) if seed == REPORT_SEEDS[0] else [],
        device=device(), versions=versions(), date=today,
    )  # fmt: skip


def _means(w: Tensor, w0: Tensor) -> list[float]:
    size = stretch(w, w0).abs()
    means = size.mean(), (size / w0.norm(dim=1)).mean(), turn(w, w0).mean()
    return [float(f"{mean.item():.4g}") for mean in means]


def _rows(w: Tensor, w0: Tensor) -> list[list[float]]:
    relative = stretch(w, w0) / w0.norm(dim=1)
    return [[round(x, 5) for x in each.tolist()] for each in (turn(w, w0), relative)]


def _served(model: nn.Module, matrices: dict[str, Tensor]) -> float:
    """Return the score with these matrices in the place of the trained ones."""
    plain = copy.deepcopy(model)
    if adapted(plain):
        merge(plain)
    for name, matrix in matrices.items():
        plain.get_submodule(name).weight.data.copy_(matrix)
    return round(KJV.score(plain), 4)
