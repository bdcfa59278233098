"""LoRA-drop: the layers whose adapters do something keep their own; the rest share one."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from lorabook.init.kaiming import kaiming
from lorabook.layer import Adapted, adapted
from lorabook.recipe import Site
from lorabook.update.low_rank import LowRank


@torch.no_grad()
def importance(model: nn.Module, inputs: Iterable[Tensor]) -> dict[str, float]:
    """Return each layer's share of Σ_layers g, with g = E‖ΔWx‖² over everything that passes through the layer.

    Phase 1: call it on a model whose LoRA has been trained for a few steps, with a sample of the training inputs.

    Raises:
        ValueError: the model has no adapted layer, no input came, or no adapter has moved yet.

    Source: Zhou et al. 2024 (2402.07721), equations 3 and 4.
    """
    layers = adapted(model)
    if not layers:
        raise ValueError("LoRA-drop measures adapters, and this model has none: inject a LoRA recipe and train it first")
    sums = {name: [0.0, 0] for name in layers}

    def listen(name: str):
        def heard(layer: Adapted, given: tuple[Tensor, ...], said: Tensor) -> None:
            moved = (said - layer.base(given[0])).square()
            sums[name][0] += float(moved.sum())
            sums[name][1] += moved.numel() // layer.base.store.shape[0]

        return heard

    hooks = [layer.register_forward_hook(listen(name)) for name, layer in layers.items()]
    try:
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


def share_the_rest(model: nn.Module, kept: Iterable[str], generator: torch.Generator | None = None) -> dict[str, list[str]]:
    """Give every layer that is not in `kept` one LoRA per shape, the same object in all of them; return who shares.

    Phase 2: the kept layers keep their adapters, and training goes on (or starts again, as in the paper). Nothing is
    dropped: a layer that shares is still adapted. Make a new optimiser afterwards.

    Raises:
        ValueError: a name in `kept` is no adapted layer, or a layer to share is no plain LoRA.

    Source: Zhou et al. 2024 (2402.07721), section 3.3.
    """
    layers, kept = adapted(model), set(kept)
    unknown = sorted(kept - layers.keys())
    if unknown:
        raise ValueError(f"{unknown[0]} is no adapted layer of this model; they are {', '.join(layers)}")
    rest = {name: layer for name, layer in layers.items() if name not in kept}
    for name, layer in rest.items():
        if type(layer.update) is not LowRank or layer.start is not None:
            raise ValueError(f"{name} has a {type(layer.update).__name__}; only a plain LoRA on a whole W₀ can be shared")
    generator = generator or torch.Generator().manual_seed(0)
    groups: dict[tuple, list[str]] = {}
    for name, layer in rest.items():
        key = (type(layer.base).__name__, *layer.base.store.shape, layer.r, layer.scale)
        groups.setdefault(key, []).append(name)
    for names in groups.values():
        first = rest[names[0]]
        site = Site(names[0], first.r, first.scale, first.recipe.dropout, generator)
        one = LowRank(first.base, kaiming(first.base.matrix, site), site)
        for name in names:
            rest[name].update = one
    return {names[0]: names for names in groups.values()}
