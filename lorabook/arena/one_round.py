"""Who was in this round? An attacker who holds candidate texts, and sees the private mean of one round."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from lorabook.arena.federated_runs import clients
from lorabook.axes.optim.private import Noise, noisy_mean
from lorabook.many.federated import Client
from lorabook.tasks.text import language_loss


def people(count: int, seed: int = 0) -> list[Client]:
    """Return some of the clients of the Bible, drawn from all of them."""
    order = torch.randperm(len(clients()), generator=torch.Generator().manual_seed(seed))
    return [clients()[i] for i in order[:count]]


def change(model: nn.Module, client: Client) -> Tensor:
    """Return what a client's first local step changes, per unit of its rate, in one row: −∂L/∂θ on its text."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return -torch.cat([g.flatten() for g in torch.autograd.grad(language_loss(model, next(iter(client()))), trained)])


def areas(changes: Tensor, sigma: float, rounds: int, seed: int = 0) -> list[float]:
    """Return the attacker's AUC in each of some rounds: half of the clients come, by a coin, and he ranks them all.

    Every change is clipped to C = 1. The mean is Σᵢ cᵢΔᵢ/L plus noise, with a coin cᵢ for each text: as many equations
    as numbers that train, and one unknown for each text. Least squares gives all cᵢ, and he ranks by them. Changes are
    taken to be longer than C, so that clipping is scaling.
    """
    coins, found = torch.Generator().manual_seed(seed), []
    rows = changes / changes.norm(dim=1, keepdim=True)
    products = rows @ rows.T
    for _ in range(rounds):
        came = torch.rand(len(rows), generator=coins) < 0.5
        noise = Noise(1.0, sigma, len(rows) / 2)
        (mean,) = noisy_mean(([row] for row in rows[came]), noise, [rows[0]], coins)
        scores = torch.linalg.solve(products, rows @ mean)
        found.append(area(scores[came], scores[~came]))
    return found


def area(inside: Tensor, outside: Tensor) -> float:
    """Return the chance that one inside scores higher than one outside: 0.5 is guessing."""
    return ((inside[:, None] > outside).float() + (inside[:, None] == outside).float() / 2).mean().item()


def most(sigma: float) -> float:
    """Return the AUC of one who knows all other clients' texts: Φ(1/(σ√2)), as two Gaussians 1/σ apart give it.

    Source: Dong, Roth, Su 2019 (1905.02383), theorem 2.7.
    """
    return 1.0 if sigma == 0 else Normal(0.0, 1.0).cdf(torch.tensor(1 / (sigma * 2**0.5))).item()


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and standard deviation."""
    row = torch.tensor(values)
    return row.mean().item(), row.std().item()
