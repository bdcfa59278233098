"""LoRA-drop: the layers whose adapters do something keep their own; the rest share one.

Two phases with another set of trained parameters in each. A step rule cannot go from one to the other: the optimiser is
made once for a run, and a checkpoint is read into the parameters that the run began with. So LoRA-drop is no recipe,
but verbs between two runs of `fit`, and `learn_with_drop`, which calls them in order.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lorabook.core.adapted_layer import Adapted, adapted
from lorabook.core.lora import KaimingStart, LowRank
from lorabook.core.modes import evaluating
from lorabook.core.recipe import LayerSpec


class Dropped(NamedTuple):
    """What LoRA-drop found: each layer's share of the effect, the layers that keep an adapter, and who shares one."""

    shares: dict[str, float]
    kept: list[str]
    shared: dict[str, list[str]]


def learn_with_drop(
    model: nn.Module,
    first: Callable[[nn.Module], object],
    sample: Iterable[Tensor],
    then: Callable[[nn.Module], object],
    threshold: float = 0.9,
    generator: torch.Generator | None = None,
) -> Dropped:
    """Train all adapters for a while, let those that do little share one, and train on.

    Args:
        first: trains for a few steps: `lambda model: lb.fit(model, some, steps=50, lr=1e-3)`.
        sample: inputs of the model on which the effect of each adapter is measured, after `first`.
        then: trains to the end, with an optimiser of its own, as `lb.fit` makes one.
        threshold: T, the share of the effect that the kept layers reach together.

    Raises:
        ValueError: no adapted layer, one that is no plain LoRA, T out of (0, 1] (nothing has been trained then), or an
            empty sample.

    Source: Zhou et al. 2024 (2402.07721), section 3.
    """
    _plain_loras(model)
    important({}, threshold)
    first(model)
    shares = importance(model, sample)
    kept = important(shares, threshold)
    shared = share_the_rest(model, kept, generator)
    then(model)
    return Dropped(shares, kept, shared)


@torch.no_grad()
def importance(model: nn.Module, inputs: Iterable[Tensor]) -> dict[str, float]:
    """Return each layer's share of Σ_layers g, with g = E‖ΔWx‖² over everything that passes through the layer.

    Phase 1: call it on a model whose LoRA has been trained for a few steps, with a sample of the training inputs.
    Dropout is off meanwhile.

    Raises:
        ValueError: the model has no adapted layer or one that is no plain LoRA, no input came, or no adapter has moved.

    Source: Zhou et al. 2024 (2402.07721), equations 3 and 4.
    """
    layers = _plain_loras(model)
    sums = {name: [0.0, 0] for name in layers}

    def listen(name: str):
        def measure(layer: Adapted, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            # Not output − W₀x: in 16 bits a small ΔWx would be lost in the rounding of the two.
            base, update = layer.base, layer.update
            moved = base.up_project(base.down_project(inputs[0], update.A), update.s * update.B, update.A.new_zeros(()))
            exact = torch.promote_types(moved.dtype, torch.float32)
            sums[name][0] += float(moved.to(exact).square().sum())
            sums[name][1] += moved.numel() // base.store.shape[0]

        return measure

    hooks = [layer.register_forward_hook(listen(name)) for name, layer in layers.items()]
    try:
        with evaluating(model):
            for x in inputs:
                model(x)
    finally:
        for hook in hooks:
            hook.remove()
    means = {name: total / seen if seen else 0.0 for name, (total, seen) in sums.items()}
    whole = sum(means.values())
    if not whole > 0:
        raise ValueError(
            "no adapter of this model has any effect yet on these inputs: give at least one batch, and train the "
            "adapters for a few steps first (B starts at zero)"
        )
    return {name: mean / whole for name, mean in means.items()}


def important(shares: Mapping[str, float], threshold: float) -> list[str]:
    """Return the layers with the largest shares, as few as reach `threshold` together.

    Raises:
        ValueError: the threshold T is not in (0, 1].

    Source: Zhou et al. 2024 (2402.07721), section 3.2.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"LoRA-drop: threshold T is {threshold!r}; it must lie in (0, 1] (0.9 in the paper)")
    kept, reached = [], 0.0
    for name in sorted(shares, key=shares.__getitem__, reverse=True):
        if reached >= threshold - 1e-12:
            break
        kept.append(name)
        reached += shares[name]
    return kept


def share_the_rest(
    model: nn.Module, kept: Iterable[str], generator: torch.Generator | None = None
) -> dict[str, list[str]]:
    """Give every layer that is not in `kept` one fresh LoRA per shape, the same object in all; return who shares.

    The kept layers go on with their adapters. Nothing is dropped: a layer that shares is still adapted. Make a new
    optimiser afterwards, and to resume in a new process, call this again with the same `kept` before `fit`. A saved
    adapter holds a copy for every layer, so that a model it is loaded into computes the same, and shares nothing.

    Raises:
        ValueError: a name in `kept` is no adapted layer, or a layer is no plain LoRA.

    Source: Zhou et al. 2024 (2402.07721), section 3.3.
    """
    layers, kept = _plain_loras(model), set(kept)
    unknown = sorted(kept - layers.keys())
    if unknown:
        raise ValueError(f"{unknown[0]} is no adapted layer of this model; they are {', '.join(layers)}")
    rest = {name: layer for name, layer in layers.items() if name not in kept}
    generator = generator or torch.Generator().manual_seed(0)
    groups: dict[tuple, list[str]] = {}
    for name, layer in rest.items():
        a = layer.update.A
        key = (type(layer.base), layer.base.store.shape, layer.r, layer.scale, layer.recipe.dropout, a.dtype, a.device)
        groups.setdefault(key, []).append(name)
    for names in groups.values():
        first = rest[names[0]]
        spec = LayerSpec(names[0], first.r, first.scale, first.recipe.dropout, generator)
        one = LowRank(first.base, KaimingStart().build(first.base.matrix, spec), spec).train(first.training)
        for name in names:
            rest[name].update = one
    return {names[0]: names for names in groups.values()}


def _plain_loras(model: nn.Module) -> dict[str, Adapted]:
    """Return the adapted layers, each of which must be s·BA beside a whole W₀: what can be measured and shared."""
    layers = adapted(model)
    if not layers:
        raise ValueError("LoRA-drop works on adapters, and this model has none: inject a LoRA recipe first")
    for name, layer in layers.items():
        if type(layer.update) is not LowRank or layer.start is not None:
            what = layer.recipe.label if layer.start is not None else type(layer.update).__name__
            raise ValueError(f"LoRA-drop: {name} is a {what}; only a plain LoRA beside a whole W₀ can be shared")
    return layers
