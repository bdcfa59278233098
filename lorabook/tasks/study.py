"""Compare ways to adapt one base to one text: the same batches for all, several seeds, and the spread.

    study(setting, [Contender("LoRA", LoRA(8, 16), 1e-2), Contender("full fine-tuning", None, 2e-3)], seeds=range(5))
"""

import copy
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import nn
from tqdm.auto import tqdm

from lorabook.core.fit import Diverged, fit, warmup_cosine
from lorabook.core.inject import inject
from lorabook.core.recipe import Recipe
from lorabook.cost.count import trainable
from lorabook.models.loaded import Loaded
from lorabook.tasks.text import Corpus, batches, evaluate, language_loss


@dataclass(frozen=True)
class Setting:
    """What everyone gets: the base, the text, `batch` pieces of `length` tokens a step, and the number of steps.

    Rates rise over the first tenth of the steps and fall to zero on half a cosine.
    """

    base: Loaded
    corpus: Corpus
    batch: int = 4
    length: int = 64
    steps: int = 50

    @cached_property
    def start(self) -> float:
        """The base's own loss on the validation text, in nats per token."""
        return self.score(self.base.model)

    def score(self, model: nn.Module) -> float:
        """Return the loss of a model on the validation text, in nats per token."""
        return evaluate(model, self.corpus, self.length, pieces=48).nats_per_token


@dataclass(frozen=True)
class Contender:
    """What is trained and how fast; recipe None is full fine-tuning."""

    name: str
    recipe: Recipe | None
    lr: float
    targets: str = "_proj"


@dataclass(frozen=True)
class Outcome:
    """What came of a contender: for each seed the final validation loss, and the training losses."""

    contender: Contender
    trained: int
    finals: tuple[float, ...]
    curves: tuple[tuple[float, ...], ...]

    @property
    def mean(self) -> float:
        """Mean final loss over the seeds, nats per token."""
        return statistics.fmean(self.finals)

    @property
    def spread(self) -> float:
        """Standard deviation of the final loss over the seeds."""
        return statistics.stdev(self.finals)


def trained(setting: Setting, contender: Contender, seed: int) -> tuple[nn.Module, tuple[float, ...]]:
    """Return a trained copy of the base and its training losses. One seed means the same batches for everyone."""
    model = copy.deepcopy(setting.base.model)
    if contender.recipe is None:
        model.requires_grad_(True)
    else:
        inject(model, contender.recipe, contender.targets, torch.Generator().manual_seed(seed))
    stream = batches(setting.corpus, setting.batch, setting.length, torch.Generator().manual_seed(seed))
    history = fit(
        model, stream, steps=setting.steps, lr=contender.lr, loss=language_loss, schedule=warmup_cosine, progress=False
    )
    return model, tuple(history.losses)


def study(setting: Setting, contenders: Iterable[Contender], seeds: Sequence[int]) -> list[Outcome]:
    """Train every contender once with every seed."""
    outcomes = []
    for contender in contenders:
        bar = tqdm(seeds, desc=contender.name, unit="seed", leave=False)
        runs = [trained(setting, contender, seed) for seed in bar]
        finals = tuple(setting.score(model) for model, _ in runs)
        outcomes.append(Outcome(contender, trainable(runs[0][0]), finals, tuple(losses for _, losses in runs)))
    return outcomes


def tune(setting: Setting, contender: Contender, rates: Sequence[float], seed: int) -> dict[float, float]:
    """Return the final validation loss for every rate; infinite where training diverged."""
    found = {}
    for rate in tqdm(rates, desc=f"{contender.name}: rate", leave=False):
        try:
            found[rate] = setting.score(trained(setting, replace(contender, lr=rate), seed)[0])
        except Diverged:
            found[rate] = float("inf")
    return found


def recovered(outcome: Outcome, full: Outcome, start: float) -> tuple[float, float]:
    """Return the share of full fine-tuning's gain over the base that a contender reaches: mean and spread over "
    "seeds."""
    shares = [(start - mine) / (start - best) for mine, best in zip(outcome.finals, full.finals, strict=True)]
    return statistics.fmean(shares), statistics.stdev(shares)
