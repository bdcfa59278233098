"""What a client's change tells of its data, and what noise in two factors does to their product."""

from itertools import repeat

import torch
from torch import Tensor

from lorabook.axes.optim.private import Noise, noisy_mean
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.dp_dylora.federated import after, net
from lorabook.claims.dp_dylora.federated_mean import ALONE
from lorabook.core.adapted_layer import adapted

ZHU = "Zhu, Liu, Han 2019 (1906.08935)"
DRAWS, TAU = 600, 0.7


@claim(
    statement=r"A client with one input $x$ that takes one step sends $\Delta A=-\eta s\,B^\top g\,x^\top$: each "
    r"of its rows is $x$ itself, up to a factor.",
    source=f"the gradient of y = W₀x + s·BAx by A, with g = ∂L/∂y; {ZHU} for gradients of whole networks",
    when=r"$B\ne0$; a batch sends a mixture of its inputs",
)
def a_client_sends_its_input(case: Case):
    overlaps = _overlaps(case)
    return overlaps, torch.ones_like(overlaps)


@misconception(
    of=a_client_sends_its_input,
    statement=r"The data stay at home: what is sent are changes of weights, as far from $x$ as random ones.",
    source="the promise of federated learning, taken too far; a random row has 1/d_in of its energy along x",
)
def false_a_change_of_weights_hides_the_data(case: Case):
    overlaps = _overlaps(case)
    return overlaps, torch.full_like(overlaps, 1 / case.d_in)


def _overlaps(case: Case) -> Tensor:
    """Return, for each row of ΔA of the first layer, which share of its energy lies along the client's input."""
    x, y = (case.randn(1, d, stream=f"secret {d}") for d in (case.d_in, case.d_out))
    start, sent = net(case), after(case, [lambda: repeat((x, y))], ALONE, steps=1)
    change = (adapted(sent)["0"].update.A - adapted(start)["0"].update.A).detach()
    return (change @ x[0] / change.norm(dim=1) / x.norm()).square()


@claim(
    statement=r"Noise of deviation $\tau$ in both factors adds to $BA$ what has, in the mean, the squared norm "
    r"$\tau^2(d_{out}\lVert A\rVert^2+d_{in}\lVert B\rVert^2)+\tau^4\,r\,d_{in}d_{out}$. With $A$ frozen "
    r"$\tau^2d_{out}\lVert A\rVert^2$ is all.",
    source="Sun et al. 2024 (2403.12313), section 3: (B + Z)(A + Y) = BA + ZA + BY + ZY; independent entries",
    relation="~",
)
def noise_in_both_factors_is_multiplied(case: Case):
    both, frozen = _squared_errors(case)
    a, b = (factor.square().sum() for factor in (case.factors().A, case.factors().B))
    alone = TAU**2 * case.d_out * a
    predicted = alone + TAU**2 * case.d_in * b + TAU**4 * case.r * case.d_in * case.d_out
    return _means(both, frozen), torch.stack([predicted, alone]), _errors(both, frozen)


@misconception(
    of=noise_in_both_factors_is_multiplied,
    statement=r"Noise in the factors is noise in $BA$: twice the $\tau$, four times the squared norm.",
    source="BA is not linear in both: the product ZY of two noises grows with τ⁴, and is not Gaussian",
)
def false_noise_in_a_product_grows_like_its_square(case: Case):
    both, frozen = _squared_errors(case)
    a, b = (factor.square().sum() for factor in (case.factors().A, case.factors().B))
    alone = TAU**2 * case.d_out * a
    return _means(both, frozen), torch.stack([alone + TAU**2 * case.d_in * b, alone]), _errors(both, frozen)


def _squared_errors(case: Case) -> tuple[Tensor, Tensor]:
    """Return ‖(B + Z)(A + Y) − BA‖² and ‖(B + Z)A − BA‖² of many rounds to which nobody came."""
    factors, noise = case.factors(), Noise(C=1.0, sigma=TAU, expected=1.0)
    product, both, frozen = factors.B @ factors.A, [], []
    for t in range(DRAWS):
        y, z = noisy_mean([], noise, [factors.A, factors.B], case.generator(f"round {t}"))
        both.append(((factors.B + z) @ (factors.A + y) - product).square().sum())
        frozen.append(((factors.B + z) @ factors.A - product).square().sum())
    return torch.stack(both), torch.stack(frozen)


def _means(*draws: Tensor) -> Tensor:
    return torch.stack([one.mean() for one in draws])


def _errors(*draws: Tensor) -> Tensor:
    return torch.stack([one.std() / len(one) ** 0.5 for one in draws])
