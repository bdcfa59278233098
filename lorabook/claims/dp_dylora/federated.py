"""What a federated round of clients with low-rank factors gives, and what makes it private."""

from collections.abc import Sequence
from itertools import repeat

import torch
from torch import Tensor, nn

from lorabook.axes.optim.accountant import epsilon
from lorabook.axes.optim.private import Noise, clipped
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.core.adapted_layer import adapted
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.recipe import Recipe
from lorabook.core.training_step import Batch
from lorabook.many.federated import Client, DPDyLoRA, Federation, ServerStep, federate

XU = "Xu et al. 2024 (2405.06368)"
MCMAHAN = "McMahan et al. 2018 (1710.06963)"
PLAIN = LoRA() | Recipe(optim=ServerStep())
N, C, EXPECTED = 5, 0.3, 4.0
LOOSE = Noise(C=1e9, sigma=0.0, expected=N)
CLIPPED, SIGMA = Noise(C, sigma=0.0, expected=EXPECTED), 1.5
NOISY = Noise(C, SIGMA, EXPECTED)


def squared(model: nn.Module, batch: Batch) -> Tensor:
    """Return the mean squared error."""
    return (model(batch[0]) - batch[1]).square().mean()


def net(case: Case, recipe: Recipe = PLAIN) -> nn.Module:
    """Return a model of two adapted layers, both factors of each moved from their start."""
    model = nn.Sequential(nn.Linear(case.d_in, case.d_out), nn.Tanh(), nn.Linear(case.d_out, case.d_out)).double()
    for name, parameter in model.named_parameters():
        parameter.data = case.randn(*parameter.shape, stream=name) / case.d_in**0.5
    layers = inject(model, recipe | Recipe(r=case.r, alpha=case.alpha), "0|2", case.generator("inject"))
    for name, layer in layers.items():
        layer.update.B.data = case.randn(case.d_out, case.r, stream=f"B{name}") / 4
    return model


def clients(case: Case, loud: float = 1.0) -> list[Client]:
    """Return N clients, each with a batch of its own; the data of the last are so many times larger."""
    everyone = []
    for who in range(N):
        size = loud if who == N - 1 else 1.0
        x, y = (size * case.randn(8, d, stream=f"client {who}, {d}") for d in (case.d_in, case.d_out))
        everyone.append(lambda x=x, y=y: repeat((x, y)))
    return everyone


def numbers(model: nn.Module) -> Tensor:
    """Return all that trains in one row."""
    return torch.cat([p.detach().flatten() for p in model.parameters() if p.requires_grad])


def after(
    case: Case, of: Sequence[Client], noise: Noise, recipe: Recipe = PLAIN, *, steps: int = 3, stream: str = "round"
) -> nn.Module:
    """Return the server's model after one round of all of these clients."""
    model = net(case, recipe)
    federation = Federation(of, 1.0, noise, steps, 0.05, case.generator(stream), squared)
    federate(model, federation, rounds=1, lr=1.0, progress=False)
    return model


@claim(
    statement=r"One client more or less moves the server's factors, of all layers together, by at most $C/L$, whatever "
    r"that client's data are.",
    source=f"{MCMAHAN}, lemma 1 with equal weights: clip, sum, divide by a number fixed beforehand",
    relation="<=",
    tol=1e-12,
)
def one_client_moves_the_server_by_c_over_l(case: Case):
    measured = []
    for loud in (1.0, 1e3):
        of = clients(case, loud)
        whole = numbers(after(case, of, CLIPPED))
        measured += [(numbers(after(case, of[:i] + of[i + 1 :], CLIPPED)) - whole).norm() for i in (0, N - 1)]
    return torch.stack(measured), torch.full((len(measured),), C / EXPECTED, dtype=torch.float64)


@misconception(
    of=one_client_moves_the_server_by_c_over_l,
    statement=r"Clipping each local *gradient* to $C$ bounds a client just as well.",
    source="DP-SGD's clipping is per example and step; after k local steps of size η a client has moved by up to kηC",
)
def false_clipped_gradients_bound_a_client(case: Case):
    def of_clipped_gradients(model: nn.Module, batch: Batch) -> Tensor:
        trained = [p for p in model.parameters() if p.requires_grad]
        g = clipped(list(torch.autograd.grad(squared(model, batch), trained)), C)
        return sum((p * part).sum() for p, part in zip(trained, g, strict=True))

    model, start = net(case), numbers(net(case))
    loud = Federation(clients(case, 1e3)[-1:], 1.0, LOOSE, 6, 1.0, case.generator("round"), of_clipped_gradients)
    federate(model, loud, rounds=1, lr=float(N) / EXPECTED, progress=False)
    return (numbers(model) - start).norm()[None], torch.tensor([C / EXPECTED], dtype=torch.float64)


@misconception(
    of=one_client_moves_the_server_by_c_over_l,
    statement=r"Noise on the client's own *data* does it: what is learnt from noisy data is private.",
    source="noise on the inputs bounds no change: a loud client stays loud",
)
def false_noisy_data_bound_a_client(case: Case):
    of = clients(case, 10.0)
    for who, client in enumerate(of):
        x, y = next(client())
        x = x + case.randn(*x.shape, stream=f"noise {who}")
        of[who] = lambda x=x, y=y: repeat((x, y))
    unclipped = Noise(1e9, 0.0, EXPECTED)
    moved = numbers(after(case, of, unclipped)) - numbers(after(case, of[:-1], unclipped))
    return moved.norm()[None], torch.tensor([C / EXPECTED], dtype=torch.float64)


@misconception(
    of=one_client_moves_the_server_by_c_over_l,
    statement=r"Dividing by the number of clients that *came* changes nothing.",
    source="a small cohort is then averaged with large weights: of two clients each moves the mean by up to C",
)
def false_dividing_by_those_who_came_is_as_good(case: Case):
    pair = clients(case, 1e3)[-2:]
    means = [numbers(after(case, came, Noise(C, 0.0, expected=len(came)))) for came in (pair, pair[:1])]
    return (means[0] - means[1]).norm()[None], torch.tensor([C / EXPECTED], dtype=torch.float64)


@misconception(
    of=one_client_moves_the_server_by_c_over_l,
    statement=r"DyLoRA needs no change: each client draws its own rank, and a row is averaged over those who "
    r"trained it.",
    source=f"plain DyLoRA in a federation; {XU} say that it breaks privacy: one client may be alone in a row",
)
def false_each_client_may_draw_its_rank(case: Case):
    # All others drew a smaller rank, so that the mean in the last row is what this client sent.
    recipe, alone = DPDyLoRA(r_min=case.r), Noise(C, sigma=0.0, expected=1)
    model = after(case, clients(case, 1e3)[-1:], alone, recipe)
    last = [
        torch.cat([mine.update.A[-1] - was.update.A[-1], mine.update.B[:, -1] - was.update.B[:, -1]])
        for mine, was in zip(adapted(model).values(), adapted(net(case, recipe)).values(), strict=True)
    ]
    return torch.cat(last).norm()[None], torch.tensor([C / EXPECTED], dtype=torch.float64)


def of_nobody(model: nn.Module, noise: Noise, generator: torch.Generator) -> Tensor:
    """Return by how much a round moves what trains when no client came, in one row."""
    trained, none = [p for p in model.parameters() if p.requires_grad], torch.arange(0)
    loss = Federation([repeat], 1.0, noise, 1, 0.05, generator, squared)(model, (none, none))
    return -torch.cat([g.flatten() for g in torch.autograd.grad(loss, trained)])


def deviation(case: Case, noise: Noise) -> tuple[Tensor, Tensor]:
    """Return the deviation of a round's noise in one entry, and its standard error."""
    model = net(case)
    rounds = -(-2000 // len(numbers(model)))
    drawn = torch.cat([of_nobody(model, noise, case.generator(f"noise {i}")) for i in range(rounds)])
    measured = drawn.square().mean().sqrt()
    return measured, measured / (2 * len(drawn)) ** 0.5


@claim(
    statement=r"The server adds noise of deviation $\frac{\sigma C}{L}$ to each number of the mean, once a round.",
    source=f"{MCMAHAN}, algorithm 1",
    relation="~",
)
def the_server_adds_sigma_c_over_l(case: Case):
    measured, error = deviation(case, NOISY)
    return measured, torch.tensor(SIGMA * C / EXPECTED), error


@misconception(
    of=the_server_adds_sigma_c_over_l,
    statement=r"It comes to the same if each client adds $\sigma C$ to what it sends.",
    source="the deviations of m clients add up to √m·σC: that is the price when the server is not trusted with the sum",
)
def false_each_client_adds_its_own_noise(case: Case):
    measured, error = deviation(case, NOISY)
    return measured, torch.tensor(SIGMA * C * EXPECTED**0.5 / EXPECTED), error


@claim(
    statement=r"With and without a client that is clipped, a round's mean has two distributions, $\frac1\sigma$ "
    r"deviations apart: that is all the accountant sees.",
    source="Dong, Roth, Su 2019 (1905.02383), theorem 2.7: C/L against σC/L",
    relation="~",
)
def a_client_is_one_over_sigma_deviations(case: Case):
    measured, error = deviation(case, NOISY)
    apart = _apart(case) / measured
    return apart, torch.tensor(1 / SIGMA), apart * error / measured


@misconception(
    of=a_client_is_one_over_sigma_deviations,
    statement=r"Clipping alone hides a client.",
    source="without noise the two means are two different numbers: whoever sees one knows, and no ε is finite",
)
def false_clipping_alone_hides_a_client(case: Case):
    measured, error = deviation(case, CLIPPED)
    return _apart(case) / measured, torch.tensor(1 / SIGMA), error


def _apart(case: Case) -> Tensor:
    of = clients(case, 1e3)
    return (numbers(after(case, of, CLIPPED)) - numbers(after(case, of[:-1], CLIPPED))).norm()


@claim(
    statement=r"However many local steps clients take, a round has one draw of noise: $\epsilon$ counts rounds.",
    source=f"{MCMAHAN}: what is clipped and noised is the change, not a gradient",
)
def noise_is_drawn_once_a_round(case: Case):
    of = clients(case)
    noise = numbers(after(case, of, NOISY, steps=4)) - numbers(after(case, of, CLIPPED, steps=4))
    source, model = case.generator("round"), net(case)
    torch.rand(N, generator=source)  # who comes
    shapes = [p.shape for p in model.parameters() if p.requires_grad]
    z = [torch.randn(shape, generator=source, dtype=torch.float64).flatten() for shape in shapes]
    return noise, SIGMA * C / EXPECTED * torch.cat(z)


@misconception(
    of=noise_is_drawn_once_a_round,
    statement=r"$T$ rounds of $k$ local steps cost the $\epsilon$ of $Tk$ steps.",
    source="asked of public code more than once; Tk is for DP-SGD, whose every step is noised and released",
)
def false_local_steps_cost_privacy(case: Case):
    spent = [Federation([repeat], 0.2, NOISY, k, 0.05, case.generator("round")).epsilon(10, 1e-5) for k in (1, 4)]
    return torch.tensor(spent), torch.tensor([spent[0], epsilon(sigma=SIGMA, q=0.2, steps=40, delta=1e-5)])
