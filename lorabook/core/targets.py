"""Which layers of a model a recipe may land on, checked before anything changes."""

import re
from dataclasses import dataclass

from torch import nn

from lorabook.core.adapted_layer import adapted
from lorabook.core.dense import Dense
from lorabook.core.layer_types import FrozenEmbedding, freeze
from lorabook.core.recipe import Recipe


@dataclass(frozen=True)
class Target:
    """A layer to adapt, and every place in the model that holds it."""

    name: str
    layer: nn.Module
    places: tuple[tuple[nn.Module, str], ...]

    def put(self, module: nn.Module) -> None:
        """Replace the layer wherever it is held."""
        for parent, child in self.places:
            setattr(parent, child, module)


def find_targets(model: nn.Module, targets: str, recipe: Recipe) -> list[Target]:
    """Return the layers whose name matches `targets`, each checked against the recipe.

    Raises:
        ValueError: `targets` is no regular expression, nothing matches, or a matching layer is adapted already, tied to
            another module, or holds numbers that a quantised store cannot keep.
        TypeError: `targets` is no text.
        UnsupportedLayer: a matching layer is of no known kind.
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
    named = {
        name: module
        for name, module in model.named_modules()
        if name and re.search(targets, name) and _is_layer(module)
    }
    if not named:
        raise ValueError(f"targets={targets!r} matches no layer of this model; its layers are {_some_names(model)}")
    found = []
    for name, layer in named.items():
        _check_layer(name, layer, recipe)
        _refuse_tied(model, name, layer)
        # named_children() would list a module that one parent holds twice only once.
        places = tuple((m, child) for m in model.modules() for child, held in m._modules.items() if held is layer)
        found.append(Target(name, layer, places))
    return found


def _is_layer(module: nn.Module) -> bool:
    """A layer holds numbers and no further modules: containers, activations and dropouts are no targets."""
    return not list(module.children()) and bool(list(module.parameters(recurse=False)))


def _check_layer(name: str, layer: nn.Module, recipe: Recipe) -> None:
    frozen = freeze(layer, name)
    if recipe.dropout and isinstance(frozen, FrozenEmbedding):
        raise ValueError(f"{name} is an Embedding: it reads indices, which dropout={recipe.dropout} cannot zero; use 0")
    if recipe.base is not Dense and not frozen.matrix.isfinite().all():
        raise ValueError(f"{name}.weight has NaN or infinite entries, which no quantised store can keep; repair it")


def refuse_large_rank(found: list[Target], recipe: Recipe) -> None:
    """Refuse a rank that no update of some target can reach.

    Raises:
        ValueError: naming the layer and the largest rank.
    """
    for target in found:
        d_out, d_in = freeze(target.layer, target.name).store.shape
        if recipe.r > min(d_out, d_in):
            raise ValueError(
                f"rank r = {recipe.r} is larger than {target.name} allows: its matrix is {d_out} × {d_in}, so "
                f"r ≤ {min(d_out, d_in)}"
            )


def _refuse_adapted(model: nn.Module, targets: str) -> None:
    again = [name for name in adapted(model) if re.search(targets, name)]
    if again:
        raise ValueError(
            f"{again[0]} is adapted already: merge(model) first to train a second adapter on top of it, or choose "
            f"targets other than {targets!r}"
        )


def _refuse_tied(model: nn.Module, name: str, layer: nn.Module) -> None:
    memory = layer.weight.untyped_storage().data_ptr()
    for other_name, other in model.named_modules():
        for held_name, held in other.named_parameters(recurse=False):
            if other is not layer and held.untyped_storage().data_ptr() == memory and held.device.type != "meta":
                raise ValueError(
                    f"{name}.weight and {other_name}.{held_name} are one tied matrix: adapting one of the two would "
                    f"untie them silently. Leave it out of the targets, or untie it first: "
                    f"model.get_submodule({name!r}).weight = torch.nn.Parameter(weight.clone())"
                )


def _some_names(model: nn.Module) -> str:
    names = [name for name, module in model.named_modules() if name and _is_layer(module)]
    return ", ".join(names[:12]) + (f", … ({len(names)} in all)" if len(names) > 12 else "")
