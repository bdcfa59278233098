"""The loop that adapts a base to a text with any recipe and number of steps: what chapters and studies call.

setting = Setting(base, corpus, steps=50)
model, run = train(setting, Contender("LoRA", LoRA(8, 16), 1e-2), seed=0)
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn

from lorabook.core.fit import fit
from lorabook.core.inject import inject
from lorabook.core.recipe import Recipe
from lorabook.core.schedule import warmup_cosine
from lorabook.core.training_step import Diverged
from lorabook.cost.count import saved_bytes, trainable
from lorabook.models.loaded import Loaded
from lorabook.tasks.text import Corpus, batches, evaluate, language_loss


@dataclass(frozen=True)
class Setting:
    """What everyone gets: the base, the text, `batch` pieces of `length` tokens a step, and the number of steps.

    `schedule` is the factor on every rate, as `fit` takes it; the default rises over the first tenth of the steps and
    falls to zero on half a cosine. A loss is that of `pieces` pieces of the validation text.
    """

    base: Loaded
    corpus: Corpus
    batch: int = 4
    length: int = 64
    steps: int = 50
    schedule: Callable[[int, int], float] = warmup_cosine
    pieces: int = 48

    @cached_property
    def start(self) -> float:
        """The base's own loss on the validation text, in nats per token."""
        return self.score(self.base.model)

    def score(self, model: nn.Module) -> float:
        """Return the loss of a model on the validation text, in nats per token."""
        return evaluate(model, self.corpus, self.length, self.pieces).nats_per_token

    def stream(self, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Return the batches of a seed, without end. One seed means the same batches for everyone."""
        return batches(self.corpus, self.batch, self.length, torch.Generator().manual_seed(seed))


@dataclass(frozen=True)
class Contender:
    """What is trained and how fast; recipe None is full fine-tuning."""

    name: str
    recipe: Recipe | None
    lr: float
    targets: str = "_proj"


@dataclass
class Run:
    """One training: what it costs, and what has come of it so far.

    `trained` parameters; `backward_bytes` that one forward pass keeps for its backward; `seconds` of training; the
    training loss of each step and, once it has finished, the `final` loss on the validation text, in nats per token.
    `state` is "running", "finished", "stopped", "diverged" or "failed".
    """

    trained: int = 0
    backward_bytes: int = 0
    losses: list[float] = field(default_factory=list)
    final: float | None = None
    seconds: float = 0.0
    state: str = "running"


def train(
    setting: Setting,
    contender: Contender,
    seed: int,
    *,
    run: Run | None = None,
    on_step: Callable[[Run], bool | None] | None = None,
) -> tuple[nn.Module, Run]:
    """Train a copy of the base, and return it with the record of its run.

    Args:
        seed: draws the adapters' start and the batches.
        run: the record to write into, for one who watches it grow; a new one if None.
        on_step: called with the record after each step; return True to stop.

    Raises:
        Diverged, ValueError, AxisConflict, UnsupportedLayer: as `inject` and `fit`; `run.state` then says "diverged" or
            "failed".
    """
    run = Run() if run is None else run

    def record(_step: int, loss: float) -> bool:
        run.losses.append(loss)
        if on_step is not None and on_step(run):
            run.state = "stopped"
        return run.state == "stopped"

    try:
        model = _prepared(setting, contender, seed)
        run.trained, run.backward_bytes = trainable(model), _backward_bytes(setting, model, seed)
        run.seconds = fit(
            model, setting.stream(seed), steps=setting.steps, lr=contender.lr, loss=language_loss,
            schedule=setting.schedule, on_step=record, progress=False,
        ).seconds  # fmt: skip
        if run.state != "stopped":
            run.final = setting.score(model)
            run.state = "finished"
    except Diverged:
        run.state = "diverged"
        raise
    except BaseException:
        run.state = "failed"
        raise
    return model, run


def _prepared(setting: Setting, contender: Contender, seed: int) -> nn.Module:
    """Copy the base and make trainable what the contender trains."""
    model = copy.deepcopy(setting.base.model)
    if contender.recipe is None:
        return model.requires_grad_(True)
    inject(model, contender.recipe, contender.targets, torch.Generator().manual_seed(seed))
    return model


def _backward_bytes(setting: Setting, model: nn.Module, seed: int) -> int:
    """Measure what the first batch makes autograd keep, besides what lives anyway."""
    tokens, targets = next(setting.stream(seed))
    batch = tokens.to(setting.base.device), targets.to(setting.base.device)
    return saved_bytes(lambda: language_loss(model, batch), [*model.parameters(), *model.buffers()])
