"""Injecting puts an adapted layer in the place of every target; merging puts a plain one back."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from lorabook.core.adapted_layer import Adapted, adapted
from lorabook.core.layer_types import freeze
from lorabook.core.lora import LowRank
from lorabook.core.recipe import LayerSpec, Recipe, refuse_other
from lorabook.core.targets import Target, find_targets, refuse_large_rank
from lorabook.core.unmergeable import Unmergeable, refuse_unmergeable
from lorabook.core.update import Family


def inject(
    model: nn.Module, recipe: Recipe, targets: str, generator: torch.Generator | None = None
) -> dict[str, Adapted]:
    """Put an adapter of this recipe on every target, freeze the rest, and return the adapted layers by name.

    Five steps per layer, always in this order: freeze, init (A, B and what is left of W₀), store what is left, build
    the update on the W₀ that will really be used, replace the module. All targets are checked before the first changes.

    Args:
        targets: regular expression, searched in module names: r"q_proj|v_proj".
        generator: source of randomness for A; seed 0 on the CPU if None.

    Raises:
        ValueError: no target matches (the message lists names), a rank is too large, a layer is adapted already, or
            a matrix is shared with another module.
        TypeError: `recipe` is no Recipe, or `targets` no text.
        UnsupportedLayer: a target is no layer of a known kind.
        AxisConflict: two axes of the recipe cannot be had together on these layers.
    """
    refuse_other(recipe)
    recipe = recipe.complete()
    generator = generator or torch.Generator().manual_seed(0)
    found = find_targets(model, targets, recipe)
    refuse_large_rank(found, recipe)
    return place(model, recipe, found, generator)


def place(model: nn.Module, recipe: Recipe, found: list[Target], generator: torch.Generator) -> dict[str, Adapted]:
    """Do what `inject` does, on targets that are checked. A rank above min(d_out, d_in) is wasteful, not wrong."""
    heads = _attention_modules(model, recipe) if recipe.attention is not None else []
    also = _also_trained(model, recipe)
    bases = {target.name: freeze(target.layer, target.name) for target in found}
    if isinstance(recipe.form, Family):
        for name, base in bases.items():
            recipe.form.refuse(name, base)
    shapes = [base.store.shape for base in bases.values()]
    common = _Common({}, (max(d_out for d_out, _ in shapes), max(d_in for _, d_in in shapes)))
    # The first layer is built before anything is replaced: what two axes of a recipe cannot do together fails here.
    layers = {found[0].name: _build(found[0], recipe, generator, common)}
    recipe.optim(dict(layers[found[0].name].update.named_parameters()), 1.0)
    for target in found:
        layer = layers.get(target.name) or _build(target, recipe, generator, common)
        layers[target.name] = layer
        target.put(layer)
    for head in heads:
        head.attend = recipe.attention()
        if isinstance(head.attend, nn.Module):
            head.attend.train(head.training)
    updates = {id(p) for layer in layers.values() for p in layer.update.parameters()}
    earlier = {id(p) for layer in adapted(model).values() for p in layer.update.parameters()}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(id(parameter) in updates | earlier or name in also)
    return layers


@dataclass(frozen=True)
class _Common:
    """What the layers of one injection have in common."""

    shared: dict
    largest: tuple[int, int]


def _build(target: Target, recipe: Recipe, generator: torch.Generator, common: _Common) -> Adapted:
    scale = recipe.scale(recipe.alpha, recipe.r)
    spec = LayerSpec(target.name, recipe.r, scale, recipe.dropout, generator, common.shared, common.largest)
    with torch.no_grad():
        base = freeze(target.layer, target.name)
        factors = recipe.init(base.matrix, spec)
        base.store = recipe.base(base.matrix if factors.residual is None else factors.residual)
        start = None if factors.residual is None else LowRank(base, _copied(factors), spec)
    layer = Adapted(base, recipe.form(base, factors, spec), recipe, spec.scale, start)
    return layer.train(target.layer.training)


def _copied(factors):
    return type(factors)(factors.A.clone(), factors.B.clone())


def _also_trained(model: nn.Module, recipe: Recipe) -> set[str]:
    if recipe.also_train is None:
        return set()
    names = {name for name, _ in model.named_parameters() if re.search(recipe.also_train, name)}
    if not names:
        known = ", ".join(name for name, _ in model.named_parameters())[:400]
        raise ValueError(f"also_train={recipe.also_train!r} matches no parameter; the model has: {known} …")
    return names


def _attention_modules(model: nn.Module, recipe: Recipe) -> list[nn.Module]:
    from lorabook.axes.attention.longlora import Groups
    from lorabook.models.decoder import Attention

    heads = [module for module in model.modules() if isinstance(module, Attention)]
    if not heads:
        raise ValueError(
            f"the recipe replaces attention, and {type(model).__name__} has no lorabook.models.decoder.Attention: "
            "load the model with lorabook.load, or drop that recipe"
        )
    trained = [head.attend for head in heads if isinstance(head.attend, Unmergeable)]
    if trained:
        raise ValueError(
            f"the recipe replaces attention, and with it a trained {type(trained[0]).__name__}: use one of the two"
        )
    if isinstance(recipe.attention, Groups):
        recipe.attention.refuse(model)
    return heads


def merge(model: nn.Module) -> nn.Module:
    """Replace every adapted layer by the plain layer with the effective W, in place, and return the model.

    Raises:
        ValueError: the model holds no adapted layer, or a part that no matrix can stand for.
    """
    refuse_unmergeable(model)
    _swap(model, Adapted.plain)
    return model


@contextmanager
def merged(model: nn.Module) -> Iterator[nn.Module]:
    """Plain layers inside the block; the same adapters, bit for bit, after it."""
    refuse_unmergeable(model)
    with _instead(model, Adapted.plain):
        yield model


@contextmanager
def disabled(model: nn.Module) -> Iterator[nn.Module]:
    """The model as it was before injection, inside the block.

    A quantised base stays quantised, and what `also_train` trained (LongLoRA's norms) stays trained.
    """
    with _instead(model, Adapted.original):
        yield model


@contextmanager
def _instead(model: nn.Module, of) -> Iterator[None]:
    swapped = _swap(model, of)
    try:
        yield
    finally:
        for parent, child, layer in swapped:
            setattr(parent, child, layer)


def _swap(model: nn.Module, of) -> list[tuple[nn.Module, str, Adapted]]:
    """Put of(layer) in every place that holds an adapted layer; return what was where."""
    places = [
        (parent, child, layer)
        for parent in model.modules()
        for child, layer in parent._modules.items()
        if isinstance(layer, Adapted)
    ]
    if not places:
        raise ValueError("this model has no adapted layer: call inject first")
    replacements = {id(layer): of(layer).train(layer.training) for _, _, layer in places}
    for parent, child, layer in places:
        setattr(parent, child, replacements[id(layer)])
    return places
