"""What clipping and noise do to a step, and what they do not."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lorabook.axes.optim.private import Noise, Private, clipped, noisy_mean, norm
from lorabook.claims.case import Case
from lorabook.claims.claim import claim, misconception
from lorabook.claims.unchecked import Unchecked
from lorabook.core.inject import inject
from lorabook.core.recipe import Recipe
from lorabook.core.training_step import Batch

ABADI = "Abadi et al. 2016 (1607.00133)"
N, C, DRAWS = 8, 0.5, 1500


def contribution(case: Case, who: int) -> list[Tensor]:
    """Return what one contributor would add to A and to B: longer than C."""
    return [case.randn(*shape, stream=f"{who} {shape}") for shape in ((case.r, case.d_in), (case.d_out, case.r))]


def everyone(case: Case) -> list[list[Tensor]]:
    """Return N contributions."""
    return [contribution(case, who) for who in range(N)]


def flat(tensors: Sequence[Tensor]) -> Tensor:
    """Return every number in one row."""
    return torch.cat([t.detach().flatten() for t in tensors])


def mean(case: Case, contributions: list, noise: Noise, stream: str = "noise") -> Tensor:
    """Return the library's noisy mean in one row."""
    return flat(noisy_mean(contributions, noise, contribution(case, 0), case.generator(stream)))


@claim(
    statement=r"Clipping bounds a contribution over all its tensors together: $\sum_k\lVert g_k\rVert^2\le C^2$.",
    source=f"{ABADI}, algorithm 1",
    relation="<=",
    tol=1e-12,
)
def a_clipped_contribution_has_norm_at_most_c(case: Case):
    lengths = torch.stack([norm(clipped(g, C)) for g in everyone(case)])
    return lengths, torch.full_like(lengths, C)


@misconception(
    of=a_clipped_contribution_has_norm_at_most_c,
    statement=r"Clipping each tensor to norm $C$ bounds the contribution by $C$.",
    source="layer by layer the bounds add up: √(number of tensors)·C, and the noise must grow with it",
)
def false_each_tensor_clipped_to_c_bounds_the_whole(case: Case):
    lengths = torch.stack([norm([clipped([tensor], C)[0] for tensor in g]) for g in everyone(case)])
    return lengths, torch.full_like(lengths, C)


@claim(
    statement=r"One contribution more or less moves the sum of clipped contributions by at most $C$.",
    source=f"{ABADI}, section 3: the sensitivity that the noise σC is measured against",
    relation="<=",
    tol=1e-12,
)
def one_contribution_moves_the_sum_by_at_most_c(case: Case):
    all_of_them, quiet = everyone(case), Noise(C, sigma=0.0, expected=1)
    moved = torch.stack(
        [(mean(case, all_of_them, quiet) - mean(case, all_of_them[:i] + all_of_them[i + 1 :], quiet)).norm()
         for i in range(N)]
    )  # fmt: skip
    return moved, torch.full_like(moved, C)


@misconception(
    of=one_contribution_moves_the_sum_by_at_most_c,
    statement=r"Clipping the gradient of the *batch* to $C$, as an ordinary loop does, bounds what one example can do.",
    source="fit(clip=…) and clip_grad_norm_ clip the mean; times N it can turn by more than C when one example leaves",
)
def false_clipping_the_batch_bounds_one_example(case: Case):
    # One example decides the direction of the mean: with it the clipped mean points one way, without it the other.
    usual, loud = contribution(case, 1), [-100 * tensor for tensor in contribution(case, 1)]
    with_it = [sum(parts) / N for parts in zip(*([usual] * (N - 1)), loud, strict=True)]
    moved = N * (flat(clipped(with_it, C)) - flat(clipped(usual, C))).norm()
    return moved[None], torch.tensor([C], dtype=torch.float64)


@claim(
    statement=r"The noise on each entry of the mean has deviation $\sigma C/L$.",
    source=f"{ABADI}, algorithm 1: noise of deviation σC on the sum, which is then divided by L",
    relation="~",
)
def noise_on_the_mean_is_sigma_c_over_l(case: Case):
    noise = Noise(C, sigma=1.5, expected=N)
    measured, error = deviation(noise_alone(case, noise))
    return measured, torch.tensor(1.5 * C / N), error


def noise_alone(case: Case, noise: Noise) -> Tensor:
    """Return many draws of what noise adds to the mean, in one row."""
    quiet = mean(case, everyone(case), Noise(noise.C, 0.0, noise.expected))
    draws = -(-DRAWS // len(quiet))
    return torch.cat([mean(case, everyone(case), noise, f"draw {i}") - quiet for i in range(draws)])


def deviation(errors: Tensor) -> tuple[Tensor, Tensor]:
    """Return the deviation of errors whose mean is zero, and the standard error of that number."""
    measured = errors.square().mean().sqrt()
    return measured, measured / (2 * len(errors)) ** 0.5


@misconception(
    of=noise_on_the_mean_is_sigma_c_over_l,
    statement=r"The noise multiplier $\sigma$ is the deviation of the noise, whatever $C$ is.",
    source="σ is measured in units of C: half the C is half the noise, at the same ε",
)
def false_noise_does_not_depend_on_c(case: Case):
    measured, error = deviation(noise_alone(case, Noise(C, sigma=1.5, expected=N)))
    return measured, torch.tensor(1.5 / N), error


@claim(
    statement=r"The noise in the mean has squared norm $P(\sigma C/L)^2$, with $P$ the numbers that train: at one "
    r"$\epsilon$, $P=r(d_{in}+d_{out})$ of LoRA gets less noise than all $d_{in}d_{out}$ entries would.",
    source="P independent entries of variance (σC/L)²",
    relation="~",
)
def noise_grows_with_the_trained_parameters(case: Case):
    noise, draws = Noise(C, sigma=1.5, expected=N), 400
    like = contribution(case, 0)
    sizes = torch.stack(
        [flat(noisy_mean([], noise, like, case.generator(f"size {i}"))).square().sum() for i in range(draws)]
    )
    trained = case.r * (case.d_in + case.d_out)
    return sizes.mean(), torch.tensor(trained * (1.5 * C / N) ** 2), sizes.std() / draws**0.5


@misconception(
    of=noise_grows_with_the_trained_parameters,
    statement=r"Privacy costs the same noise however few parameters train: $\epsilon$ knows nothing of $P$.",
    source="true of ε and of each entry; the norm of the noise grows with √P, that of the signal stops at C",
)
def false_noise_is_the_same_for_every_number_of_parameters(case: Case):
    sizes, _, error = noise_grows_with_the_trained_parameters(case)
    return sizes, torch.tensor((1.5 * C / N) ** 2), error


def squared_error(model: nn.Module, batch: Batch) -> Tensor:
    """Return the mean squared error."""
    x, y = batch
    return (model(x) - y).square().mean()


def gradients(case: Case, noise: Noise) -> tuple[Tensor, Tensor]:
    """Return the private gradient of a LoRA layer, and the gradient of the batch."""
    layer = nn.Linear(case.d_in, case.d_out, dtype=torch.float64)
    model = nn.Sequential(layer)
    with torch.no_grad():
        layer.weight.copy_(case.w0())
        layer.bias.zero_()
    update = inject(model, Recipe(r=case.r, alpha=case.alpha), "0", case.generator("inject"))["0"].update
    with torch.no_grad():
        update.B.copy_(case.factors().B)
    batch = (case.x(N), case.randn(N, case.d_out, stream="y"))
    trained = list(update.parameters())
    private = Private(noise, case.generator("private"), squared_error)
    return tuple(flat(torch.autograd.grad(loss(model, batch), trained)) for loss in (private, squared_error))


@claim(
    statement=r"Without noise, the private gradient is the batch's gradient.",
    source=f"{ABADI}, algorithm 1 with σ = 0: the mean of the examples' gradients is the gradient of the mean",
    when=r"no example's gradient is longer than $C$",
)
def a_private_gradient_is_the_batch_gradient(case: Case):
    return gradients(case, Noise(C=1e6, sigma=0.0, expected=N))


@misconception(
    of=a_private_gradient_is_the_batch_gradient,
    statement=r"Clipping changes the step's size, and not its direction.",
    source="long gradients are shortened more than short ones: the mean of the clipped points elsewhere",
)
def false_clipping_keeps_the_direction(case: Case):
    private, plain = gradients(case, Noise(C=0.1, sigma=0.0, expected=N))
    return private / private.norm(), plain / plain.norm()


THE_GENERATOR_IS_SAFE = Unchecked(
    statement="Gaussian noise from a framework's random generator in floating point gives the ε that is computed for "
    "real numbers.",
    source="Mironov 2012 (CCS, on the least significant bits) says it does not; Opacus offers a secure mode for this",
    reason="the leak is in the rounding of single draws and in guessing a seed; no equation with two sides shows it",
)
