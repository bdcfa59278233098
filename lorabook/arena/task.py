"""A task: a base, its batches, a score (lower is better), and what is forgotten over it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

from torch import Tensor, nn

from lorabook.core.training_step import Batch


class Task(ABC):
    """What contenders are adapted to. Everyone gets the same `steps` and, from one seed, the same batches.

    `targets` finds the layers to adapt; `loss` is trained on; `unit` is what the score counts; `seeds` is how many
    seeds are reported: ten where contenders are compared, fewer where a run takes a minute.
    """

    name: str
    targets: str
    unit: str
    steps: int
    seeds: int = 10
    loss: Callable[[nn.Module, Batch], Tensor]

    @property
    @abstractmethod
    def base(self) -> nn.Module:
        """The model before adapting; copy it before you train."""

    @abstractmethod
    def stream(self, seed: int) -> Iterator[Batch]:
        """Return the batches of a seed, without end."""

    @abstractmethod
    def score(self, model: nn.Module) -> float:
        """Return the loss on what was not trained on, in `unit`; lower is better."""

    @abstractmethod
    def old(self, model: nn.Module) -> float:
        """Return the loss on what the base could do before, in nats: what it rises by is what was forgotten."""

    @abstractmethod
    def more(self, model: nn.Module) -> dict[str, float]:
        """Return what only this task measures on a trained model, by name; often nothing."""
