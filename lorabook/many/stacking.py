"""Stacking: several adapters on one model, as one adapter of it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from lorabook.core.adapted_layer import Adapted, adapted
from lorabook.core.inject import place
from lorabook.core.lora import ORIGIN
from lorabook.core.recipe import Recipe
from lorabook.core.targets import exactly, find_targets
from lorabook.many.combine import Combine, combined, concatenated
from lorabook.many.pair import State, check_pair, check_state


def stack(
    model: nn.Module, adapters: Mapping[str, State], weights: Mapping[str, float], how: Combine = concatenated
) -> dict[str, Adapted]:
    """Put W₀ + Σ w_i s_i B_iA_i on every layer that one of the adapters touches; return those layers by name.

    Adapters on one layer add up, exactly as on different layers, and whatever was trained on one alone. What comes out
    is a plain LoRA adapter: it can be merged, saved in PEFT's format, trained further.

    Args:
        how: `concatenated` (exact, rank Σ r_i), `Truncated(r)`, `factors_summed`, or LoRAHub's `product_of_sums`.

    Raises:
        ValueError: no adapter, a weight missing, unknown or not finite, a model that has adapters already or lacks a
            layer, or factors that do not fit. Nothing has changed then.
        UnsupportedLayer: a layer of no known type.
    """
    return attach(model, combined(adapters, weights, how))


def attach(model: nn.Module, state: State) -> dict[str, Adapted]:
    """Put one adapter on a plain model, and return the adapted layers by name. Its scale goes into A, so that s = 1.

    Raises:
        ValueError: no layer, a model that has adapters already or lacks a layer, or factors that do not fit.
        TypeError: what is given is no adapter as `pairs_of` gives it.
        UnsupportedLayer: a layer of no known type.
    """
    check_state("the adapter", state)
    if not state:
        raise ValueError("this adapter has no layer: pairs_of(adapted_model) gives one that has")
    if adapted(model):
        raise ValueError(f"{next(iter(adapted(model)))} has an adapter already: merge(model) first, or start anew")
    known = dict(model.named_modules())
    missing = [name for name in state if name not in known]
    if missing:
        raise ValueError(f"the adapter is for the layer {missing[0]!r}, which this model does not have")
    by_rank: dict[int, list[str]] = {}
    for name, pair in state.items():
        by_rank.setdefault(len(pair.A), []).append(name)
    checked = []
    for r, names in by_rank.items():
        recipe = Recipe(r, float(r)).complete(ORIGIN)
        chosen = find_targets(model, exactly(names), recipe)
        containers = sorted(set(names) - {target.name for target in chosen})
        if containers:
            raise ValueError(f"the adapter is for {containers[0]!r}, which in this model is no single layer")
        for target in chosen:
            check_pair(f"the adapter on {target.name}", state[target.name], *target.base.store.shape)
        checked.append((recipe, chosen))
    layers: dict[str, Adapted] = {}
    for recipe, chosen in checked:
        # Not `inject`: a sum of adapters may have a rank above min(d_out, d_in).
        layers |= place(model, recipe, chosen, torch.Generator().manual_seed(0))
    return fill(layers, state)


@contextmanager
def attached(model: nn.Module, state: State) -> Iterator[dict[str, Adapted]]:
    """One adapter on a plain model inside the block; after it, error or not, the very layers of before.

    Raises:
        ValueError, UnsupportedLayer: as `attach`.
    """
    before = [(parent, child, layer) for parent in model.modules() for child, layer in parent._modules.items()]
    trained = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        yield attach(model, state)
    finally:
        for parent, child, layer in before:
            parent._modules[child] = layer
        for parameter, trains in trained:
            parameter.requires_grad_(trains)


@torch.no_grad()
def fill(layers: dict[str, Adapted], state: State) -> dict[str, Adapted]:
    """Write one adapter's numbers into layers of scale 1 and the same ranks."""
    for name, pair in state.items():
        layers[name].update.A.copy_(pair.scale * pair.A)
        layers[name].update.B.copy_(pair.B)
    return layers
