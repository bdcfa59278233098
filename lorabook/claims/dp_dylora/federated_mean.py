"""What averaging the factors of clients is, and what it is taken for."""

from itertools import repeat

import torch
from torch import Tensor, nn

from lorabook.axes.form.lora_fa import LoRAFA
from lorabook.axes.optim.private import Noise
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.dp_dylora.federated import LOOSE, MCMAHAN, PLAIN, N, after, clients, net, numbers, squared
from lorabook.core.adapted_layer import adapted
from lorabook.core.fit import fit
from lorabook.core.recipe import Recipe
from lorabook.many.federated import ServerStep

SUN = "Sun et al. 2024 (2403.12313)"
ALONE = Noise(C=1e9, sigma=0.0, expected=1)


def deltas(model: nn.Module) -> Tensor:
    """Return ΔW of every adapted layer, in one row."""
    parts = [layer.update.weight(layer.base.matrix) - layer.base.matrix for layer in adapted(model).values()]
    return torch.cat([part.detach().flatten() for part in parts])


def of_each(case: Case, recipe: Recipe) -> list[nn.Module]:
    """Return what each client's own training makes of the server's model."""
    return [after(case, [client], ALONE, recipe) for client in clients(case)]


@claim(
    statement=r"The mean of the clients' factors gives the mean of their updates: $\bar B\bar A=\frac1N\sum_iB_iA_i$.",
    source=f"{SUN}, section 3: BA is linear in B",
    when=r"$A$ is fixed and the same for all, as in LoRA-FA and FFA-LoRA",
)
def the_mean_of_factors_is_the_mean_of_updates(case: Case):
    return _server_and_mean(case, LoRAFA() | Recipe(optim=ServerStep()))


@misconception(
    of=the_mean_of_factors_is_the_mean_of_updates,
    statement=r"The same with both factors trained: $\bar B\bar A$ is the mean of the $B_iA_i$.",
    source="what averaging adapters is usually taken for; BA is not linear in both",
)
def false_averaging_both_factors_averages_updates(case: Case):
    return _server_and_mean(case, PLAIN)


def _server_and_mean(case: Case, recipe: Recipe) -> tuple[Tensor, Tensor]:
    start = deltas(net(case, recipe))
    server = deltas(after(case, clients(case), LOOSE, recipe)) - start
    return server, torch.stack([deltas(model) - start for model in of_each(case, recipe)]).mean(0)


@claim(
    statement=r"What averaging both factors misses is how the clients differ: "
    r"$\frac1N\sum_iB_iA_i-\bar B\bar A=\frac1N\sum_i(B_i-\bar B)(A_i-\bar A)$.",
    source="a covariance: the mean of a product is not the product of the means",
)
def what_averaging_misses_is_a_covariance(case: Case):
    server, each = after(case, clients(case), LOOSE), of_each(case, PLAIN)
    spread = []
    for name, layer in adapted(server).items():
        theirs = [adapted(model)[name].update for model in each]
        spread.append(sum(case.s * (u.B - layer.update.B) @ (u.A - layer.update.A) for u in theirs) / N)
    missed = torch.stack([deltas(model) for model in each]).mean(0) - deltas(server)
    return missed, torch.cat([part.detach().flatten() for part in spread])


@claim(
    statement=r"A round is one step on the data of all clients together.",
    source=f"{MCMAHAN}, FedSGD: the mean of the clients' gradients is the gradient of the mean",
    when="clients take one local step, have equally many data, and nothing is clipped or noised",
)
def a_round_of_one_step_is_a_step_on_all_data(case: Case):
    return _round_and_steps_on_all(case, 1)


@misconception(
    of=a_round_of_one_step_is_a_step_on_all_data,
    statement=r"A round of $k$ local steps is $k$ steps on the data of all clients together.",
    source="after its first step each client follows its own data, from a point of its own",
)
def false_a_round_is_its_local_steps_on_all_data(case: Case):
    return _round_and_steps_on_all(case, 4)


def _round_and_steps_on_all(case: Case, steps: int) -> tuple[Tensor, Tensor]:
    start = numbers(net(case))
    server = numbers(after(case, clients(case), LOOSE, steps=steps)) - start
    batches = [next(client()) for client in clients(case)]
    everything = tuple(torch.cat(parts) for parts in zip(*batches, strict=True))
    model = net(case)
    fit(model, repeat(everything), steps=steps, lr=0.05, loss=squared, progress=False)
    return server, numbers(model) - start
