"""Injecting puts an adapted layer in the place of every target, and freezes the rest."""

import re
from dataclasses import replace

import torch
from torch import nn

from lorabook.core.adapted_layer import Adapted, adapted
from lorabook.core.all_linear import all_linear
from lorabook.core.as_it_was import as_it_was_if_this_fails
from lorabook.core.beside import beside, note, outside
from lorabook.core.lora import ORIGIN, LowRank
from lorabook.core.plain_layer import hand_over_hooks
from lorabook.core.plain_saving import refuse_plain_saving
from lorabook.core.recipe import Factors, LayerSpec, Recipe, refuse_other
from lorabook.core.targets import Target, exactly, find_targets, refuse_large_rank
from lorabook.core.update import in_float32_at_least


def inject(
    model: nn.Module, recipe: Recipe, targets: str | None = None, generator: torch.Generator | None = None
) -> dict[str, Adapted]:
    """Put an adapter of this recipe on every target, freeze the rest, and return the adapted layers by name.

    Four steps per layer, always in this order: freeze, init (A, B and what is left of W₀), store what is left, build
    the update on the W₀ that will really be used. Every value of the recipe has been asked about every target before
    that, and the modules are replaced when all are built: whatever fails leaves the model as it was. Until then the
    plain layers stay in memory, so that a quantised base is there twice for a moment, whole and in its few bits.

    An update of a base in 16 bits is kept, and trained, in float32; its products are computed in the base's dtype.
    What `also_train` names keeps its own dtype. A later `model.half()` casts adapters like everything else.

    An adapted layer keeps the plain one's attributes and hooks. What was bound to the plain layer object itself cannot
    be kept, and is refused: a patched forward, a parametrization, a pruning mask, another library's adapter.

    Names are the plain model's, whatever it is wrapped in (torch.compile, DataParallel); a layer that stands in several
    places is one layer, adapted in all of them, and found by any of its names. For FSDP see `lorabook.core.shards`.

    Args:
        targets: regular expression, searched in module names: r"q_proj|v_proj". Without it, every linear layer but
            the output head (`all_linear`).
        generator: source of randomness for A; seed 0 on the CPU if None.

    Raises:
        ValueError: no target matches (the message lists names), the model has no linear layer, a rank is too large, a
            layer is adapted already (by us or by another library) or carries what cannot be kept, a matrix is shared
            with another module, a value of the recipe is computed from W₀ and W₀ has an entry that is no number, or the
            model is in DDP or sharded already: inject first, then wrap.
        TypeError: `recipe` is no Recipe, or `targets` no text.
        UnsupportedLayer: a target is no layer of a known type.
        AxisConflict: two axes of the recipe cannot be had together on these layers.
    """
    refuse_other(recipe)
    _refuse_ddp(model)
    recipe = recipe.complete(ORIGIN)
    generator = generator or torch.Generator().manual_seed(0)
    chosen = find_targets(model, exactly(all_linear(model)) if targets is None else targets, recipe)
    refuse_large_rank(chosen, recipe)
    return place(model, recipe, chosen, generator)


def _refuse_ddp(model: nn.Module) -> None:
    if any(isinstance(module, nn.parallel.DistributedDataParallel) for module in model.modules()):
        raise ValueError(
            "this model is in DistributedDataParallel, which keeps those parameters equal that it found when it was "
            "made, and no adapter that comes later: inject into the plain model first, then wrap it"
        )


def place(model: nn.Module, recipe: Recipe, chosen: list[Target], generator: torch.Generator) -> dict[str, Adapted]:
    """Do what `inject` does, on targets that are checked. A rank above min(d_out, d_in) is wasteful, not wrong."""
    also = _also_trained(model, recipe, chosen)
    shapes = [target.base.store.shape for target in chosen]
    largest = (max(d_out for d_out, _ in shapes), max(d_in for _, d_in in shapes))
    scale, shared = recipe.scale.build(recipe.alpha, recipe.r), {}
    layers: dict[str, Adapted] = {}
    with as_it_was_if_this_fails(model, generator):
        for target in chosen:
            spec = LayerSpec(target.name, recipe.r, scale, recipe.dropout, generator, shared, largest)
            layers[target.name] = _adapted(target, recipe, spec)
        for target in chosen:
            target.put(layers[target.name])
        if recipe.attention is not None:
            recipe.attention.build(model)
        refuse_plain_saving(model)
        note(model, also)
        trained = {id(p) for layer in adapted(model).values() for p in layer.update.parameters()}
        trained |= {id(before.now) for before in beside(model).values() if before.trains}
        for parameter in model.parameters():
            parameter.requires_grad_(id(parameter) in trained)
    return layers


def _adapted(target: Target, recipe: Recipe, spec: LayerSpec) -> Adapted:
    base = target.base
    with torch.no_grad():
        factors = recipe.init.build(base.matrix, spec)
        base.store = recipe.base.build(base.matrix if factors.residual is None else factors.residual)
        # What the init took out of W₀ goes on standing there, as LoRA's own form, when the adapter is switched off.
        # Without its dropout: the plain layer has none.
        taken = Factors(factors.A.clone(), factors.B.clone())
        start = None if factors.residual is None else LowRank(base, taken, replace(spec, dropout=0.0))
    update = in_float32_at_least(recipe.form.build(base, factors, spec))
    layer = Adapted(base, update, recipe, spec.scale, start).train(target.layer.training)
    hand_over_hooks(target.layer, layer)
    return layer


def _also_trained(model: nn.Module, recipe: Recipe, chosen: list[Target]) -> set[int]:
    """Return the `id` of every parameter that the recipe trains beside the adapters; a tied one by any of its names."""
    if recipe.also_train is None:
        return set()
    replaced = {id(p) for target in chosen for p in target.layer.parameters()}
    named = [(p, names) for names, p, _ in outside(model) if isinstance(p, nn.Parameter) and id(p) not in replaced]
    found = {id(p) for p, names in named if any(re.search(recipe.also_train, name) for name in names)}
    if not found:
        known = ", ".join(name for _, names in named for name in names)[:400]
        raise ValueError(
            f"also_train={recipe.also_train!r} matches no parameter beside the adapted layers; there are: {known} …"
        )
    return found
