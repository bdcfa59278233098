"""The layers that diagrams draw and measure: plain ones that look pretrained, and the same adapted by the library."""

from collections.abc import Callable
from itertools import repeat

import torch
from torch import Tensor, nn

import lorabook as lb
from lorabook.core.adapted_layer import Adapted
from lorabook.cost.count import saved_bytes

D_OUT, D_IN, RANK, ALPHA = 48, 64, 8, 16.0
"""The layer and the adapter of every page: small enough to be drawn to scale."""


def plain_layer(d_out: int = D_OUT, d_in: int = D_IN, *, bias: bool = False, seed: int = 0) -> nn.Linear:
    """Return a layer that looks pretrained: entries of size 1/√d_in, float64, a bias of ones if it has one."""
    layer = nn.Linear(d_in, d_out, bias=bias, dtype=torch.float64)
    layer.weight.data.normal_(generator=torch.Generator().manual_seed(seed)).div_(d_in**0.5)
    if bias:
        layer.bias.data.fill_(1)
    return layer


def adapt(recipe: lb.Recipe, d_out: int = D_OUT, d_in: int = D_IN, *, bias: bool = False) -> Adapted:
    """Return the layer that every page draws: d_out × d_in, adapted by the library itself."""
    model = nn.ModuleDict({"layer": plain_layer(d_out, d_in, bias=bias)})
    lb.inject(model, recipe, targets="layer", generator=torch.Generator().manual_seed(1))
    return model["layer"]


def moved(layer: Adapted) -> Adapted:
    """Move every trained number of a layer by a random one, as training would; seed 2."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for part in layer.update.parameters():
            part.add_(0.3 * torch.randn(part.shape, generator=generator, dtype=part.dtype))
    return layer


def fit_towards(
    model: nn.Module, x: Tensor, y: Tensor, steps: int, on_step: Callable[[int, float], None] | None = None
) -> None:
    """Train a model for a few steps with the library's own loop, until its output at x comes nearer to y."""

    def distance(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return (model(batch[0]) - batch[1]).square().mean()

    lb.fit(model, repeat((x, y)), steps=steps, lr=0.01, loss=distance, on_step=on_step, progress=False)


def delta(layer: Adapted) -> Tensor:
    """Return ΔW = W − W₀, with W₀ what the layer was before it was adapted."""
    return (layer.update.weight(layer.base.matrix) - plain_layer(*layer.base.store.shape).weight).detach()


def numbers_for_backward(layer: Adapted, tokens: int) -> float:
    """Return how many numbers the layer keeps for its backward pass, for each token, beside its own."""
    x = torch.zeros(tokens, layer.base.store.shape[1], dtype=torch.float64, requires_grad=True)
    own = [*layer.parameters(), *layer.buffers(), *layer.base.buffers(), layer.base.matrix]
    # x comes from a layer before: the copy is what that layer gave.
    return saved_bytes(lambda: layer(x.clone()), besides=own) / x.element_size() / tokens
