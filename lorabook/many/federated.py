"""DP-DyLoRA: clients train nested factors on data that stay with them; the server adds a private mean of their changes.

A round is one step of the common loop, with clients in the place of examples: DyLoRA's rule draws its rank, `fit` asks
for a gradient and steps. So the variant is a value, `DPDyLoRA(r)`: nested factors, a rank drawn by the server once a
round, a server that adds what it gets. Who the clients are and how much noise there is belongs to the run, and is a
`Federation`. Every other recipe can be federated just so: LoRA-FA, say, whose A is fixed.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from lorabook.axes.form.dylora import Nested
from lorabook.axes.optim.accountant import epsilon
from lorabook.axes.optim.private import Contribution, Noise, noisy_mean, poisson
from lorabook.axes.rule.dylora import DyLoRA
from lorabook.core.fit import History, cross_entropy, fit
from lorabook.core.frozen import Frozen
from lorabook.core.recipe import Recipe
from lorabook.core.training_step import Batch
from lorabook.core.whole_number import refuse_unless_whole

Client = Callable[[], Iterable[Batch]]
"""Gives the batches of one client's training in one round; called anew for every round that the client is in."""


@dataclass(frozen=True)
class Federation:
    """A loss for `fit` with the gradient −(Σᵢ clip(Δᵢ, C) + σC·z)/L, where Δᵢ is what client i's training changes.

    Each client of a round starts from the server's numbers and takes `steps` steps of SGD. Δᵢ is over all factors of
    all layers together. Of nested factors only what trains at the rank in use is sent, and only that gets noise: the
    rank is drawn before any data is seen, so it tells nothing. If each client drew its own, all rows would need noise.

    One client more or less changes a round's mean by at most C/L: ε is about clients, not about single examples, and
    counts rounds, not local steps. The server is trusted with the sum. The losses that `fit` reports are not private.

    Args:
        q: chance of a client to be in a round, drawn anew for each client and round.
        noise: C, σ and L, which should be q times the number of clients (`Noise.expected`).
        steps, lr: of the training at a client.
        generator: of who is in a round, and of the noise: a secret one.
        loss: as `fit` takes it.

    Source: Xu et al. 2024 (2405.06368); McMahan et al. 2018 (1710.06963), algorithm 1, for the private mean.
    """

    clients: Sequence[Client]
    q: float
    noise: Noise
    steps: int
    lr: float
    generator: torch.Generator
    loss: Callable[[nn.Module, Batch], Tensor] = cross_entropy

    def __post_init__(self) -> None:
        if not self.clients:
            raise ValueError("there are no clients: give a function for each, that returns its batches")
        for number, client in enumerate(self.clients):
            if not callable(client):
                raise ValueError(f"client {number} is a {type(client).__name__}; give a function that returns batches")
        if not isinstance(self.noise, Noise):
            raise TypeError(f"noise is {self.noise!r}; give Noise(C, sigma, expected), where sigma = 0 adds none")
        if not isinstance(self.generator, torch.Generator):
            raise TypeError(f"generator is {self.generator!r}; give a torch.Generator of a seed that stays secret")
        if not 0 < self.q <= 1:
            raise ValueError(f"q is {self.q!r}; the chance of a client to be in a round must lie in (0, 1]")
        refuse_unless_whole("steps", self.steps, unit="local steps")
        if not 0 < self.lr < math.inf:
            raise ValueError(f"lr is {self.lr!r}; the local step size must be a finite number > 0")

    def epsilon(self, rounds: int, delta: float) -> float:
        """Return ε of so many rounds at δ, for one client more or less."""
        return epsilon(sigma=self.noise.sigma, q=self.q, steps=rounds, delta=delta)

    def __call__(self, model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        """Return the clients' mean loss, with the private gradient. `batch` holds the numbers of those who are in."""
        _refuse_statistics(model)
        losses: list[float] = []
        changes = self._changes(model, batch[0].tolist(), losses)
        mean = noisy_mean(changes, self.noise, [part.detach() for part in sent(model)], self.generator)
        moved = sum(((p - p.detach()) * part).sum() for p, part in zip(sent(model), mean, strict=True))
        return sum(losses) / max(1, len(losses)) - moved

    def _changes(self, model: nn.Module, who: list[int], losses: list[float]) -> Iterator[Contribution]:
        """Give what each client's training changes. Between clients, and after an error, the model is the server's."""
        parts = [part.detach() for part in sent(model)]
        start = [part.clone() for part in parts]
        for number in who:
            try:
                losses.append(self._train(model, number))
                change = [part - was for part, was in zip(parts, start, strict=True)]
            finally:
                for part, was in zip(parts, start, strict=True):
                    part.copy_(was)
            yield change

    def _train(self, model: nn.Module, number: int) -> float:
        """Take one client's local steps, in place; return the mean loss."""
        trained = [p for p in model.parameters() if p.requires_grad]
        stream, total = iter(self.clients[number]()), 0.0
        for step in range(self.steps):
            batch = next(stream, None)
            if batch is None:
                raise ValueError(f"client {number} has no batch for its local step {step}: it must give {self.steps}")
            loss = self.loss(model, tuple(part.to(trained[0].device) for part in batch))
            for p, g in zip(trained, torch.autograd.grad(loss, trained, allow_unused=True), strict=True):
                if g is not None:
                    p.data -= self.lr * g
            total += loss.item() / self.steps
        return total


def sent(model: nn.Module) -> list[Tensor]:
    """Return all that trains, as views: of nested factors the rows and columns that move at the rank in use."""
    nested = [module for module in model.modules() if isinstance(module, Nested)]
    factors = {id(p) for update in nested for p in update.parameters()}
    whole = [p for p in model.parameters() if p.requires_grad and id(p) not in factors]
    return [part for update in nested for part in update.moving()] + whole


def federate(
    model: nn.Module,
    federation: Federation,
    *,
    rounds: int,
    lr: float,
    on_round: Callable[[int, float], bool | None] | None = None,
    progress: bool = True,
) -> History:
    """Train the adapters of a model for so many rounds; the optimiser and the step rule of its recipe are the server's.

    Args:
        lr: step size of the server. 1 adds the mean itself with `ServerStep` (DPDyLoRA has it); AdamW, which
            is LoRA's own, takes steps of about this size whatever the mean is.
        on_round: called with (round, the clients' mean loss) after each round; return True to stop.

    Raises:
        ValueError: nothing trains, a number is out of range, or a client ran out of batches. The model is the server's.
    """
    refuse_unless_whole("rounds", rounds)
    all_of_them = torch.arange(len(federation.clients))
    cohorts = poisson(all_of_them, all_of_them, q=federation.q, generator=federation.generator)
    return fit(model, cohorts, steps=rounds, lr=lr, loss=federation, on_step=on_round, progress=progress)


@dataclass(frozen=True)
class ServerStep:
    """DP-DyLoRA's value on the optimiser axis: the server's plain step θ ← θ + lr·mean."""

    def build(self, named: dict[str, Tensor], lr: float) -> torch.optim.SGD:
        """Return SGD, as the gradient of a federation is minus the mean."""
        return torch.optim.SGD(list(named.values()), lr=lr)

    def refuse(self, name: str, base: Frozen, recipe: Recipe, model: nn.Module) -> None:
        """Every layer and every other axis suits."""

    def count(self, d_out: int, d_in: int, r: int, patch: int = 1, bias: bool = True) -> int:
        return 0


def DPDyLoRA(
    r: int | None = None, alpha: float | None = None, dropout: float | None = None, *,
    r_min: int = 1, r_max: int | None = None, seed: int = 0,
) -> Recipe:  # fmt: skip
    """DyLoRA for `federate`: the server draws one rank a round, and adds the private mean to the factors of that rank.

    Source: Xu et al. 2024 (2405.06368), who add to DyLoRA that the rank is the server's and one for the whole round.
    """
    nested = DyLoRA(r, alpha, dropout, r_min=r_min, r_max=r_max, seed=seed)
    return replace(nested, optim=ServerStep(), names=frozenset({"DP-DyLoRA"}))


def _refuse_statistics(model: nn.Module) -> None:
    """Refuse layers that keep a client's statistics in the model, past the clipping and the noise."""
    for name, module in model.named_modules():
        if isinstance(module, _NormBase) and module.training and module.track_running_stats:
            raise ValueError(
                f"{name} is a {type(module).__name__} that keeps statistics of a client's data past the noise: "
                "put GroupNorm or LayerNorm in its place"
            )
