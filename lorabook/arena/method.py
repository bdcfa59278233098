"""A contender: how it changes a model of a given size, and how it trains what it has put there."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple, final

import torch
from torch import Tensor, nn

from lorabook.axes.rule.lora_drop import learn_with_drop
from lorabook.baselines.bottleneck import insert_bottlenecks
from lorabook.baselines.prefix import insert_prefix
from lorabook.core.fit import fit
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.recipe import Recipe
from lorabook.core.schedule import warmup_cosine
from lorabook.core.training_step import Batch


class Training(NamedTuple):
    """What every contender gets: batches without end, the number of steps, the rate, the loss, and who watches.

    `on_step` is called with (step, loss), counted over the whole training; it returns True to stop.
    """

    stream: Iterator[Batch]
    steps: int
    lr: float
    loss: Callable[[nn.Module, Batch], Tensor]
    on_step: Callable[[int, float], bool | None]


class Method(ABC):
    """A contender.

    `size` is the number that makes it larger or smaller: a rank, a width. `sizes` are those that may be tried for the
    equal budget, none where there is nothing to choose; `own` is the size of its paper, where that differs much.
    `first_rate` is where the search for its rate begins.
    """

    name: str
    sizes: range
    own: int | None
    first_rate: float

    @abstractmethod
    def prepare(self, model: nn.Module, targets: str, size: int, generator: torch.Generator) -> None:
        """Put into the model what trains, and freeze the rest; raise ValueError where that cannot be had."""

    @abstractmethod
    def train(self, model: nn.Module, training: Training) -> None:
        """Train what `prepare` has put there; raise Diverged when the loss is no number any more."""


CLIP = 1.0
"""The largest norm of a gradient, as trainers of language models have it.

Without it the first gradients of a task that is far from the base stay in Adam's second moment for a thousand steps.
"""


def train_once(model: nn.Module, training: Training) -> None:
    """Train with one optimiser from the first step to the last."""
    fit(
        model, training.stream, steps=training.steps, lr=training.lr, loss=training.loss, clip=CLIP,
        schedule=warmup_cosine, on_step=training.on_step, progress=False,
    )  # fmt: skip


@final
class Adapter(Method):
    """A recipe at a rank r, on the task's targets or on those `within` names."""

    def __init__(
        self, name: str, recipe: Callable[[int], Recipe], sizes: range = range(1, 193), own: int | None = None,
        first_rate: float = 8e-3, within: str | None = None,
    ) -> None:  # fmt: skip
        self.name, self.recipe, self.sizes, self.own, self.first_rate = name, recipe, sizes, own, first_rate
        self.within = within

    def changed(self, change: Callable[[Recipe], Recipe]) -> "Adapter":
        """Return the contender with every one of its recipes changed."""
        return Adapter(self.name, lambda r: change(self.recipe(r)), self.sizes, self.own, self.first_rate, self.within)

    def prepare(self, model: nn.Module, targets: str, size: int, generator: torch.Generator) -> None:
        inject(model, self.recipe(size), self.within or targets, generator)

    def train(self, model: nn.Module, training: Training) -> None:
        train_once(model, training)


@final
class FullFineTuning(Method):
    """Everything trains."""

    name = "full fine-tuning"
    sizes = range(0)
    own = 0
    first_rate = 2e-3

    def prepare(self, model: nn.Module, targets: str, size: int, generator: torch.Generator) -> None:
        model.requires_grad_(True)

    def train(self, model: nn.Module, training: Training) -> None:
        train_once(model, training)


@final
class BottleneckAdapters(Method):
    """Bottlenecks of width m after the last layer of each sublayer (Houlsby et al. 2019)."""

    name = "bottleneck"
    sizes = range(1, 257)
    own = 64
    first_rate = 4e-3

    def prepare(self, model: nn.Module, targets: str, size: int, generator: torch.Generator) -> None:
        insert_bottlenecks(model, "o_proj|down_proj", m=size, generator=generator)

    def train(self, model: nn.Module, training: Training) -> None:
        train_once(model, training)


@final
class PrefixTuning(Method):
    """n trained keys and values before every attention (Li, Liang 2021)."""

    name = "prefix"
    sizes = range(1, 257)
    own = 10
    first_rate = 3.2e-2

    def prepare(self, model: nn.Module, targets: str, size: int, generator: torch.Generator) -> None:
        insert_prefix(model, n=size, generator=generator)

    def train(self, model: nn.Module, training: Training) -> None:
        train_once(model, training)


@final
class LoRADrop(Method):
    """LoRA for a fifth of the steps, then the layers whose adapters do little share one (Zhou et al. 2024).

    The layers that keep their own reach `threshold` of the effect together, 0.9 in the paper. Its size is the rank at
    the start; both of its phases run on the schedule of their own length.
    """

    name = "LoRA-drop"
    sizes = range(1, 193)
    own = None
    first_rate = 8e-3

    def __init__(self, threshold: float = 0.9) -> None:
        self.threshold = threshold

    def prepare(self, model: nn.Module, targets: str, size: int, generator: torch.Generator) -> None:
        inject(model, LoRA(size, 2 * size), targets, generator)

    def train(self, model: nn.Module, training: Training) -> None:
        first = max(1, training.steps // 5)
        stopped = False

        def phase(steps: int, before: int) -> Callable[[nn.Module], None]:
            def watched(step: int, loss: float) -> bool:
                nonlocal stopped
                stopped = stopped or bool(training.on_step(before + step, loss))
                return stopped

            def run(model: nn.Module) -> None:
                if not stopped:
                    train_once(model, training._replace(steps=steps, on_step=watched))

            return run

        sample = (inputs for inputs, _ in islice(training.stream, 4))
        learn_with_drop(model, phase(first, 0), sample, phase(training.steps - first, first), self.threshold)
