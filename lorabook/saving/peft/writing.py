"""Writing PEFT's format: options that name exactly our layers, and tensors under PEFT's keys."""

import re
from collections import Counter

from torch import Tensor, nn

from lorabook.core.adapted_layer import Adapted
from lorabook.core.frozen import Frozen
from lorabook.core.layer_types import freeze
from lorabook.core.names import first_names, module_at, named_modules
from lorabook.core.recipe import Recipe
from lorabook.core.targets import places_of
from lorabook.core.transformers_conv1d import FrozenConv1D
from lorabook.saving.names import name_of
from lorabook.saving.peft.beside import modules_to_save, obstacle_beside, outermost, tensors_beside
from lorabook.saving.peft.form import PeftForm, plain_alpha
from lorabook.saving.peft.forms import FORMS
from lorabook.saving.peft.scales import NOTE, folded, own_scales
from lorabook.saving.record import Record
from lorabook.saving.whose import heads, whose

PREFIX = "base_model.model."


def obstacle(record: Record, model: nn.Module) -> str | None:
    """Return why PEFT cannot hold this adapter, or compute what it means; None if it can."""
    used = {one.recipe.form for one in record.layers.values()}
    if len(used) > 1:
        return f"one file of PEFT holds one form, this model has {', '.join(sorted(map(name_of, used)))}"
    form = used.pop()
    peft = FORMS.get(type(form))
    if peft is None:
        return f"PEFT has no form like {name_of(form)}"
    for option in {o for o in peft.numbers.values() if list(peft.numbers.values()).count(o) > 1}:
        fields = [own for own, o in peft.numbers.items() if o == option]
        if len({getattr(form, own) for own in fields}) > 1:
            return f"PEFT's {option} stands for {' and '.join(fields)} alike, and here they differ"
    for name in record.layers:
        if len(places := places_of(model, module_at(model, name))) > 1:
            return f"{name} stands in {len(places)} places of the model, of which PEFT adapts the first only"
        base = base_of(model, name)
        keys = peft.layers.get(type(base))
        if keys is None:
            return f"PEFT's {peft.peft_type} has no {type(base).__name__.removeprefix('Frozen')}, which {name} is"
        differs = keys.differs(base)
        if differs is not None:
            return f"{differs} ({name})"
    scales = {one.recipe.scale.build(one.recipe.alpha, one.recipe.r) for one in record.layers.values()}
    if peft.alpha is None and scales != {1.0}:
        return f"PEFT's {peft.peft_type} has no scale, and here s is {', '.join(map(str, sorted(scales)))}"
    numbers = {(one.recipe.r, peft.options(one.recipe).get(peft.alpha)) for one in record.layers.values()}
    if len(numbers) > 1 and not peft.per_layer:
        return f"PEFT's {peft.peft_type} has one rank and one alpha for all layers"
    return obstacle_beside(record, model)


def base_of(model: nn.Module, name: str) -> Frozen:
    """Return the frozen layer of a name, adapted already or not."""
    module = module_at(model, name)
    return module.base if isinstance(module, Adapted) else freeze(module, name)


def encode(record: Record, model: nn.Module, base_name: str | None) -> tuple[dict, dict[str, Tensor], dict]:
    """Return PEFT's options and tensors of a record that has no obstacle, and what the header notes of them."""
    recipes = {name: one.recipe for name, one in record.layers.items()}
    usual = Counter((recipe.r, recipe.alpha, recipe.scale) for recipe in recipes.values()).most_common(1)[0][0]
    main = next(r for r in recipes.values() if (r.r, r.alpha, r.scale) == usual)
    peft = FORMS[type(main.form)]
    bases = {name: base_of(model, name) for name in recipes}
    whole = whose(model, base_name)
    beside = outermost([*modules_to_save(record), *heads(whole.get("task_type"), model, recipes)])
    options = peft.options(main) | whole
    options |= {
        "inference_mode": True,
        "target_modules": _exactly(list(recipes), model),
        "modules_to_save": beside or None,
    }
    if peft.transposed is not None:
        options[peft.transposed] = any(isinstance(base, FrozenConv1D) for base in bases.values())
    if peft.per_layer:
        options |= _exceptions(peft, main, recipes)
    tensors = {PREFIX + name: tensor for name, tensor in tensors_beside(record, model, beside).items()}
    for name, one in record.layers.items():
        keys = peft.layers[type(bases[name])]
        for end, shape in peft.zeros(one.recipe.form, bases[name]).items():
            tensors[f"{PREFIX}{name}.{end}"] = next(iter(one.tensors.values())).new_zeros(shape)
        for letter, tensor in folded(peft, main, one).items():
            if letter in peft.shared:
                tensors[peft.shared[letter]] = tensor
                continue
            shape = keys.shape(bases[name], letter, tuple(tensor.shape))
            tensors[f"{PREFIX}{name}.{keys.ends[letter]}"] = tensor.reshape(shape)
    own = own_scales(peft, main, recipes)
    return options, tensors, {NOTE: own} if own else {}


def _exactly(names: list[str], model: nn.Module) -> list[str] | str:
    """Return names that PEFT matches to these layers and to no other: it takes any layer whose name *ends* in one."""
    # Of several names PEFT knows the first.
    first = first_names(model)
    others = [other for other, _ in named_modules(model) if first[other] == other and other not in names]
    ambiguous = any(other.endswith(f".{name}") for name in names for other in others)
    return "|".join(re.escape(name) for name in sorted(names)) if ambiguous else sorted(names)


def _exceptions(peft: PeftForm, main: Recipe, recipes: dict[str, Recipe]) -> dict[str, dict]:
    """Return the ranks and alphas of layers that differ from the usual one, under patterns that fit one layer each."""
    ranks, alphas = {}, {}
    for name, recipe in recipes.items():
        pattern = "^" + re.escape(name)
        if recipe.r != main.r:
            ranks[pattern] = recipe.r
        if peft.folds is None and plain_alpha(recipe) != plain_alpha(main):
            alphas[pattern] = plain_alpha(recipe)
    return {"rank_pattern": ranks, "alpha_pattern": alphas}
