"""What the training explorer trains on: a base model, a text that is new to it, and the settings of a run."""

import copy
import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn

from lorabook.core.fit import Diverged, fit
from lorabook.core.inject import inject
from lorabook.core.recipe import Recipe
from lorabook.cost.count import saved_bytes, trainable
from lorabook.models.load import load
from lorabook.models.loaded import Loaded
from lorabook.tasks.text import Corpus, batches, evaluate, language_loss, read, tokenize

STEPS = 60
"""Steps of a run: half a minute on two cores, and the recorded runs are as long, or they would compare with nothing."""

CHARACTERS = 600_000  # of the text: more than any run here reads, and tokenised in a second


@dataclass(frozen=True)
class Workbench:
    """A base model and what it is adapted to; `batch` sequences of `length` tokens a step."""

    base: Loaded
    corpus: Corpus
    batch: int = 8
    length: int = 128

    @cached_property
    def start(self) -> float:
        """The base's own loss on the validation text, in nats per token."""
        return self.score(self.base.model)

    @cached_property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that change with the base's weights: a recorded run is of one base only."""
        digest = hashlib.sha256()
        for tensor in self.base.model.state_dict().values():
            digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:12]

    def score(self, model: nn.Module) -> float:
        """Return a model's loss on the validation text, in nats per token."""
        return evaluate(model, self.corpus, self.length, pieces=32).nats_per_token

    def first_batch(self, seed: int) -> tuple[Tensor, Tensor]:
        """Return the batch that a run with this seed sees first."""
        tokens, targets = next(batches(self.corpus, self.batch, self.length, _seeded(seed)))
        return tokens.to(self.base.device), targets.to(self.base.device)


@dataclass
class Run:
    """One training run, as it is drawn and as it is kept: its settings, then what came of it.

    `kept` are the bytes kept for one backward pass; `final` is the loss on the validation text, nats per token.
    """

    number: int
    model: str
    variant: str
    r: int
    alpha: float
    lr: float
    targets: str
    steps: int
    seed: int
    trained: int = 0
    kept: int = 0
    losses: list[float] = field(default_factory=list)
    final: float | None = None
    seconds: float = 0.0
    state: str = "running"

    @property
    def label(self) -> str:
        """The run in a few words."""
        return self.variant if self.variant == FULL else f"{self.variant}, r = {self.r}"


FULL = "full fine-tuning"


def train(
    bench: Workbench, recipe: Recipe | None, pattern: str, run: Run, stop: threading.Event, tell: Callable[[], None]
) -> None:
    """Train a copy of the base as `run` says, writing into `run` as it goes; `recipe` None is full fine-tuning.

    Raises:
        Diverged, ValueError, AxisConflict, UnsupportedLayer: as `inject` and `fit`; `run.state` then says "failed".
    """
    try:
        model = _prepared(bench, recipe, pattern, run)

        def heard(step: int, loss: float) -> bool:
            run.losses.append(loss)
            tell()
            return stop.is_set()

        stream = batches(bench.corpus, bench.batch, bench.length, _seeded(run.seed))
        history = fit(
            model, stream, steps=run.steps, lr=run.lr, loss=language_loss, on_step=heard, progress=False
        )
        run.seconds = history.seconds
        if not stop.is_set():
            run.final = bench.score(model)
        run.state = "stopped" if stop.is_set() else "finished"
    except Diverged:
        run.state = "diverged"
        raise
    except BaseException:
        run.state = "failed"
        raise


def _prepared(bench: Workbench, recipe: Recipe | None, pattern: str, run: Run) -> nn.Module:
    """Copy the base, put the adapters on, and write down what they cost."""
    model = copy.deepcopy(bench.base.model)
    if recipe is None:
        model.requires_grad_(True)
    else:
        inject(model, recipe, pattern, _seeded(run.seed))
    run.trained = trainable(model)
    batch = bench.first_batch(run.seed)
    alive = [*model.parameters(), *model.buffers()]
    run.kept = saved_bytes(lambda: language_loss(model, batch), alive)
    return model


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def workbench(name: str, device: str, batch: int, length: int) -> Workbench:
    """Return the base `name` on a device, with the King James text, which it has never seen.

    Raises:
        FileNotFoundError: a data file is missing.
    """
    base = load(name, device=device)
    return Workbench(base, tokenize("kjv", read("kjv")[:CHARACTERS], base.tokenizer), batch, length)


def warm_up() -> None:
    """Take one optimiser step on nothing: a process's first one imports much of torch, and nothing moves meanwhile."""
    nothing = nn.Parameter(torch.zeros(1))
    nothing.grad = torch.zeros(1)
    torch.optim.AdamW([nothing]).step()
