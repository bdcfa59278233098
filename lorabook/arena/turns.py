"""Three texts learned one after the other by the book's base, and what each step does to the texts before.

A run is a way to go on, a rank, a rate and a seed. Its matrix has a row for each text, the base's own first, and a
column for each moment: before, and after each task.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor, nn

from lorabook.core.adapted_layer import Adapted, adapted
from lorabook.core.fit import fit
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.recipe import Recipe
from lorabook.many.in_turn import learn_in_turn
from lorabook.many.orthogonal import OrthogonalLoRA, Project, Pull
from lorabook.many.pair import State, pairs_of
from lorabook.many.row_space import row_basis
from lorabook.models.load import load
from lorabook.tasks import text

BASE = "Austen"
TASKS = ("CAPITALS", "Bible", "no spaces")
CHARACTERS, STEPS, BATCH, LENGTH, PIECES = 400_000, 40, 4, 64, 24
TARGETS = "_proj"


class Way(ABC):
    """How a model goes on from one task to the next."""

    name: str

    @abstractmethod
    def learn(
        self, model: nn.Module, tasks: Sequence[Callable[[nn.Module], object]], r: int, generator: torch.Generator
    ) -> Sequence[State]:
        """Train the tasks one after the other, and return the adapter as it stands after each."""


@dataclass(frozen=True)
class TrainedOn(Way):
    """One LoRA, which every task trains on."""

    name: str = "one LoRA, trained on"

    def learn(
        self, model: nn.Module, tasks: Sequence[Callable[[nn.Module], object]], r: int, generator: torch.Generator
    ) -> Sequence[State]:
        inject(model, LoRA(r=r), TARGETS, generator)
        learned = []
        for task in tasks:
            task(model)
            learned.append(pairs_of(model))
        return learned


@dataclass(frozen=True)
class OneEach(Way):
    """A new adapter for every task, of this recipe, on top of the ones before."""

    name: str
    recipe: Recipe

    def learn(
        self, model: nn.Module, tasks: Sequence[Callable[[nn.Module], object]], r: int, generator: torch.Generator
    ) -> Sequence[State]:
        return learn_in_turn(model, tasks, replace(self.recipe, r=r), TARGETS, generator)


@dataclass(frozen=True)
class ReadersFrozen(Way):
    """A new LoRA for every task whose A stays as it was drawn, and only B trains: the control of orthogonality."""

    name: str = "a new LoRA, A frozen"

    def learn(
        self, model: nn.Module, tasks: Sequence[Callable[[nn.Module], object]], r: int, generator: torch.Generator
    ) -> Sequence[State]:
        def frozen(task: Callable[[nn.Module], object]) -> Callable[[nn.Module], object]:
            def train(model: nn.Module) -> object:
                for layer in adapted(model).values():
                    layer.update.A.requires_grad_(False)
                return task(model)

            return train

        return learn_in_turn(model, [frozen(task) for task in tasks], LoRA(r=r), TARGETS, generator)


ON, NEW, FROZEN, PROJECTED = TrainedOn.name, "a new LoRA each time", ReadersFrozen.name, "O-LoRA, projected"
PENALISED, PENALISED_MORE = "O-LoRA, λ = 0.5", "O-LoRA, λ = 10"
"""0.5 is the authors' weight of the penalty, for another measure."""
WAYS: dict[str, Way] = {
    way.name: way
    for way in (
        TrainedOn(),
        OneEach(NEW, LoRA()),
        ReadersFrozen(),
        OneEach(PENALISED, OrthogonalLoRA(keep=Pull(0.5))),
        OneEach(PROJECTED, OrthogonalLoRA(keep=Project())),
        OneEach(PENALISED_MORE, OrthogonalLoRA(keep=Pull(10.0))),
    )
}


@dataclass(frozen=True)
class Run:
    """What a run leaves behind.

    matrix: nats per token of each text (`BASE`, then `TASKS`), at each moment.
    inside: by pair of tasks (1, 2), (1, 3), (2, 3), the share of ‖A_t‖² that lies in row(A_i), mean over the layers.
    reached: the share of the first text's inputs, ‖x‖², that lies in row(A_1) once it is learned, mean over the layers.
    """

    matrix: tuple[tuple[float, ...], ...]
    inside: tuple[float, float, float]
    reached: float


@cache
def corpora() -> dict[str, text.Corpus]:
    """Return the texts in tokens: the last 400,000 characters of Austen, plain and changed, and of the Bible."""
    austen, bible = (text.read(name)[-CHARACTERS:] for name in text.TEXTS)
    written = {BASE: austen, "CAPITALS": austen.upper(), "Bible": bible, "no spaces": austen.replace(" ", "")}
    return {name: text.tokenize(name, words, load("tiny").tokenizer) for name, words in written.items()}


def scores(model: nn.Module) -> list[float]:
    """Return how well a model predicts each text, nats per token."""
    return [text.evaluate(model, corpus, LENGTH, PIECES).nats_per_token for corpus in corpora().values()]


def train(model: nn.Module, name: str, lr: float, seed: int) -> None:
    """Train what trains in a model on one of the texts."""
    batches = text.batches(corpora()[name], BATCH, LENGTH, torch.Generator().manual_seed(seed))
    fit(model, batches, steps=STEPS, lr=lr, progress=False)


def learn(way: Way, r: int, lr: float, seed: int) -> Run:
    """Take the three tasks in turn, once."""
    model = load("tiny").model
    columns, reached = [scores(model)], []

    def task(name: str) -> Callable[[nn.Module], None]:
        def train_and_look(model: nn.Module) -> None:
            train(model, name, lr, seed)
            columns.append(scores(model))
            if not reached:
                reached.append(_reached(model, corpora()[name]))

        return train_and_look

    learned = way.learn(model, [task(name) for name in TASKS], r, torch.Generator().manual_seed(seed))
    pairs = ((0, 1), (0, 2), (1, 2))
    shares = [_mean([_inside(learned[t][layer].A, learned[i][layer].A) for layer in learned[0]]) for i, t in pairs]
    return Run(tuple(zip(*columns, strict=True)), tuple(shares), reached[0])


def _inside(a: Tensor, earlier: Tensor) -> float:
    """Return ‖AQᵀ‖² / ‖A‖², Q an orthonormal basis of the earlier rows."""
    return ((a.double() @ row_basis(earlier).T).square().sum() / a.double().square().sum()).item()


@torch.no_grad()
def _reached(model: nn.Module, corpus: text.Corpus) -> float:
    """Return Σ‖xQᵀ‖² / Σ‖x‖² of what the adapted layers read of a text, Q a basis of each layer's row(A)."""
    shares: list[float] = []

    def look(layer: Adapted, inputs: tuple[Tensor]) -> None:
        shares.append(_inside(inputs[0].flatten(0, -2), layer.update.A))

    hooks = [layer.register_forward_pre_hook(look) for layer in adapted(model).values()]
    rows = corpus.val[: PIECES * LENGTH].reshape(PIECES, LENGTH)
    try:
        model(rows)
    finally:
        for hook in hooks:
            hook.remove()
    return _mean(shares)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
