"""Private training: what one contribution may do to a step is bounded, and drowned in noise of known size."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from lorabook.core.fit import cross_entropy
from lorabook.core.training_step import Batch

Contribution = list[Tensor]
"""One tensor for each trained parameter: the gradient of one example, or what one client's training changed."""


@dataclass(frozen=True)
class Noise:
    """How private a sum of contributions is made: each is clipped to norm C, and noise of deviation σC is added.

    Args:
        C: largest norm of a contribution, over all of its tensors together.
        sigma: noise multiplier σ; `sigma_for` (lorabook.axes.optim.accountant) solves it for a target ε. 0 adds none.
        expected: by what the sum is divided: the number of contributions expected, never the number that came, which
            would tell who came.
    """

    C: float
    sigma: float
    expected: float

    def __post_init__(self) -> None:
        if not 0 < self.C < math.inf:
            raise ValueError(f"C is {self.C!r}; the largest norm of a contribution must be a finite number > 0")
        if not 0 <= self.sigma < math.inf:
            raise ValueError(f"sigma is {self.sigma!r}; the noise multiplier must be a finite number ≥ 0 (0: no noise)")
        if not 0 < self.expected < math.inf:
            raise ValueError(f"expected is {self.expected!r}; expect a finite number > 0 of contributions")


def norm(contribution: Contribution) -> Float[Tensor, ""]:
    """Return the norm over all tensors together."""
    return torch.stack([exact(tensor).norm() for tensor in contribution]).norm()


def exact(tensor: Tensor) -> Tensor:
    """Return the tensor in float32 at least: a norm or a sum that is rounded to 16 bits lets more than C pass."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def clipped(contribution: Contribution, C: float) -> Contribution:
    """Return g·min(1, C/‖g‖), all tensors scaled by one factor, in float32 at least.

    Source: Abadi et al. 2016 (1607.00133), algorithm 1.
    """
    size = norm(contribution)
    if not size.isfinite():
        raise ArithmeticError(f"the norm of a contribution is {size.item()}: no clipping makes that private; lower lr")
    return [exact(tensor) * min(1.0, C / size.item()) if size > 0 else exact(tensor) for tensor in contribution]


def noisy_mean(
    contributions: Iterable[Contribution], noise: Noise, like: list[Tensor], generator: torch.Generator
) -> list[Tensor]:
    """Return (Σᵢ clip(gᵢ, C) + σC·z)/L, z ~ N(0, I) and L the number of contributions that was expected.

    One contribution is held at a time. `like` gives shapes and dtypes, for a batch may be empty. Only the result is
    rounded to 16 bits, where noise has made it public.

    Source: Abadi et al. 2016 (1607.00133), algorithm 1.
    """
    total = [torch.zeros_like(exact(tensor)) for tensor in like]
    for contribution in contributions:
        for tensor, part in zip(total, clipped(contribution, noise.C), strict=True):
            tensor += part
    for tensor in total:
        z = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype, device=generator.device)
        tensor += noise.sigma * noise.C * z.to(tensor.device)
    return [(tensor / noise.expected).to(given.dtype) for tensor, given in zip(total, like, strict=True)]


@dataclass(frozen=True)
class Private:
    """A loss for `fit` with a private gradient: `fit(…, loss=Private(noise, generator))` is DP-SGD or DP-Adam.

    L(θ) + ⟨g̃, θ − stop(θ)⟩ has the value of the loss and the gradient g̃, the noisy mean of the examples' clipped
    gradients. Every optimiser, recipe and step rule then does its work on g̃ alone, which costs no further privacy.
    There is one backward pass for each example, so that every form and every store of the base is served.

    What is private is the trained adapter. The losses that `fit` reports, and a checkpoint's, are not: they come from
    the examples without noise. A torch.Generator can be repeated by whoever knows the seed: use a secret one.

    Args:
        loss: as `fit` takes it; it is given one example at a time.

    Source: Abadi et al. 2016 (1607.00133), algorithm 1.
    """

    noise: Noise
    generator: torch.Generator
    loss: Callable[[nn.Module, Batch], Tensor] = cross_entropy

    def __call__(self, model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        _refuse_mixing(model)
        trained = [p for p in model.parameters() if p.requires_grad]
        losses: list[float] = []
        g = noisy_mean(self._gradients(model, trained, batch, losses), self.noise, trained, self.generator)
        value = sum(losses) / max(1, len(losses))
        return value + sum(((p - p.detach()) * part).sum() for p, part in zip(trained, g, strict=True))

    def _gradients(
        self, model: nn.Module, trained: list[Tensor], batch: Batch, losses: list[float]
    ) -> Iterator[Contribution]:
        """Give the gradient of each example of a batch, and note its loss."""
        x, y = batch
        for i in range(len(x)):
            loss = self.loss(model, (x[i : i + 1], y[i : i + 1]))
            losses.append(loss.item())
            gradients = torch.autograd.grad(loss, trained, allow_unused=True)
            yield [torch.zeros_like(p) if g is None else g for p, g in zip(trained, gradients, strict=True)]


def poisson(x: Tensor, y: Tensor, *, q: float, generator: torch.Generator) -> Iterator[Batch]:
    """Give batches without end in which each example is with probability q, whatever the others do.

    That is the sampling that the accountant assumes. Sizes vary around q·n, which is what `Noise.expected` should be;
    a batch may be empty.

    Raises:
        ValueError: q is no probability above 0, or x and y differ in length.
    """
    if not 0 < q <= 1:
        raise ValueError(f"q is {q!r}; the chance of an example to be in a batch must lie in (0, 1]")
    if len(x) != len(y):
        raise ValueError(f"x holds {len(x)} examples and y {len(y)}: give one target for each")
    return _poisson(x, y, q, generator)


def _poisson(x: Tensor, y: Tensor, q: float, generator: torch.Generator) -> Iterator[Batch]:
    while True:
        here = torch.rand(len(x), generator=generator, device=generator.device) < q
        yield x[here.to(x.device)], y[here.to(y.device)]


def _refuse_mixing(model: nn.Module) -> None:
    """Refuse layers through which an example reaches another's output, or the model, past the noise."""
    for name, module in model.named_modules():
        mixes = isinstance(module, _BatchNorm) or (isinstance(module, _NormBase) and module.track_running_stats)
        if mixes and module.training:
            raise ValueError(
                f"{name} is a {type(module).__name__} that takes statistics of the batch: they are not clipped and get "
                "no noise. Put GroupNorm or LayerNorm in its place"
            )
