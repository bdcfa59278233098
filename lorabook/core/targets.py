"""Which layers of a model a recipe may land on, checked before anything changes."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn
from torch.nn.utils import parametrize

from lorabook.core.adapted_layer import TAKEN, adapted
from lorabook.core.frozen import Frozen
from lorabook.core.layer_types import LAYER_TYPES, freeze
from lorabook.core.names import named_modules, own_tensors, refuse_compiled_alone, share_memory
from lorabook.core.nested_tensor import refuse_nested_tensors
from lorabook.core.recipe import Recipe
from lorabook.core.shards import refuse_shards
from lorabook.core.unkept import refuse_unkept
from lorabook.core.wrapped import refuse_wrapped


@dataclass(frozen=True)
class Target:
    """A layer to adapt, the same frozen, and every place in the model that holds it."""

    name: str
    layer: nn.Module
    base: Frozen
    places: tuple[tuple[nn.Module, str], ...]

    def put(self, module: nn.Module) -> None:
        """Replace the layer wherever it is held."""
        for parent, child in self.places:
            setattr(parent, child, module)


def places_of(model: nn.Module, layer: nn.Module) -> tuple[tuple[nn.Module, str], ...]:
    """Return (parent, name in it) of every place that holds a layer; one parent may hold it twice."""
    parts = ((parent, name, part) for parent in model.modules() for name, part in parent._modules.items())
    return tuple((parent, name) for parent, name, part in parts if part is layer)


def find_targets(model: nn.Module, targets: str, recipe: Recipe) -> list[Target]:
    """Return the layers whose name matches `targets`, each frozen once and checked against every axis of the recipe.

    Raises:
        ValueError: `targets` is no regular expression, nothing matches, or a matching layer is adapted already (by us
            or by another library), carries what cannot be kept, is tied to another module, or refused by a value of the
            recipe.
        AxisConflict: two axes of the recipe cannot be had together.
        TypeError: `targets` is no text.
        UnsupportedLayer: a matching layer is of no known type.
    """
    if not isinstance(targets, str):
        raise TypeError(
            f"targets is {targets!r}; it must be one regular expression, searched in the names of layers: several "
            "names are joined by |, as in 'q_proj|v_proj'"
        )
    if not targets:
        raise ValueError(f"targets is empty; name the layers by a regular expression, e.g. {_some_names(model)}")
    try:
        re.compile(targets)
    except re.error as error:
        raise ValueError(f"targets={targets!r} is no regular expression: {error}") from error
    _refuse_adapted(model, targets)
    matched = {name for name, _ in named_modules(model) if name and re.search(targets, name)}
    named = [(names[0], layer) for names, layer in _layers(model) if any(re.search(targets, name) for name in names)]
    if not named:
        raise ValueError(f"targets={targets!r} matches no layer of this model; its layers are {_some_names(model)}")
    refuse_nested_tensors(model, [name for name, _ in named])
    chosen = []
    for name, layer in named:
        refuse_shards(own_tensors(layer), "cannot be adapted now", "inject first, then fully_shard")
        refuse_wrapped(name, layer, model, matched)
        if not parametrize.is_parametrized(layer):
            base = freeze(layer, name)
        refuse_unkept(name, layer, TAKEN)
        _refuse_dropout(name, base, recipe)
        _refuse_tied(model, name, layer)
        for value in recipe.values().values():
            value.refuse(name, base, recipe, model)
        chosen.append(Target(name, layer, base, places_of(model, layer)))
        refuse_compiled_alone(chosen[-1].places)
    return chosen


def exactly(names: Iterable[str]) -> str:
    """Return a regular expression that finds exactly these names."""
    return "^(" + "|".join(re.escape(name) for name in names) + ")$"


def _layers(model: nn.Module) -> list[tuple[list[str], nn.Module]]:
    """Return every layer once, with all its plain names."""
    names: dict[nn.Module, list[str]] = {}
    for name, module in named_modules(model):
        if name and _is_layer(module):
            names.setdefault(module, []).append(name)
    return [(all_names, layer) for layer, all_names in names.items()]


def _is_layer(module: nn.Module) -> bool:
    """A layer holds numbers and no further modules: containers, activations and dropouts are no targets.

    A parametrized layer holds its parametrization and is one all the same, so that it is not left out in silence.
    """
    if parametrize.is_parametrized(module):
        return isinstance(module, tuple(LAYER_TYPES))
    return not list(module.children()) and bool(list(module.parameters(recurse=False)))


def _refuse_dropout(name: str, base: Frozen, recipe: Recipe) -> None:
    if recipe.dropout and base.reads_indices:
        raise ValueError(f"{name} is an Embedding: it reads indices, which dropout={recipe.dropout} cannot zero; use 0")
    if recipe.dropout and base.shell.layer_type is nn.modules.linear.NonDynamicallyQuantizableLinear:
        raise ValueError(
            f"{name} belongs to a MultiheadAttention, which reads its weight and never calls it, so "
            f"dropout={recipe.dropout} would never be applied: use 0, or leave it out of the targets"
        )


def refuse_large_rank(chosen: list[Target], recipe: Recipe) -> None:
    """Refuse a rank that no update of some target can reach, where r says what rank an update has.

    Raises:
        ValueError: naming the layer and the largest rank.
    """
    for target in chosen:
        d_out, d_in = target.base.store.shape
        room = recipe.form.largest_r(d_out, d_in)
        if room is not None and recipe.r > room:
            raise ValueError(
                f"rank r = {recipe.r} is larger than {target.name} allows: its matrix is {d_out} × {d_in}, so "
                f"r ≤ {room}"
            )


def _refuse_adapted(model: nn.Module, targets: str) -> None:
    layers = adapted(model).values()
    again = [name for name, module in named_modules(model) if module in layers and re.search(targets, name)]
    if again:
        raise ValueError(
            f"{again[0]} is adapted already: merge(model) first to train a second adapter on top of it, or choose "
            f"targets other than {targets!r}"
        )


def _refuse_tied(model: nn.Module, name: str, layer: nn.Module) -> None:
    for other_name, other in named_modules(model):
        for other_weight, tensor in own_tensors(other):
            if other is not layer and share_memory(layer.weight, tensor):
                raise ValueError(
                    f"{name}.weight and {other_name}.{other_weight} are one tied matrix: adapting one of the two would "
                    f"untie them silently. Leave it out of the targets, or untie it first: layer = model.get_submodule("
                    f"{name!r}); layer.weight = torch.nn.Parameter(layer.weight.clone())"
                )


def _some_names(model: nn.Module) -> str:
    names = [names[0] for names, _ in _layers(model)]
    return ", ".join(names[:12]) + (f", … ({len(names)} in all)" if len(names) > 12 else "")
