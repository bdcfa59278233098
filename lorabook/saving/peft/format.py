"""Writing PEFT's format: options that name exactly our layers, and tensors under PEFT's keys."""

import re
from collections import Counter

from torch import Tensor, nn

from lorabook.core.adapted_layer import Adapted
from lorabook.core.frozen import Frozen
from lorabook.core.layer_types import FrozenConv1D, freeze
from lorabook.core.recipe import Recipe
from lorabook.saving.peft.form import PeftForm
from lorabook.saving.record import Record

PREFIX = "base_model.model."


def obstacle(record: Record, model: nn.Module) -> str | None:
    """Return why PEFT cannot hold this adapter, or compute what it means; None if it can."""
    used = {one.recipe.form for one in record.layers.values()}
    if len(used) > 1:
        return f"one file of PEFT holds one form, this model has {', '.join(sorted(_name(f) for f in used))}"
    form: PeftForm | None = getattr(used.pop(), "in_peft", None)
    if form is None:
        return f"PEFT has no form like {_name(next(iter(record.layers.values())).recipe.form)}"
    for option in {o for o in form.numbers.values() if list(form.numbers.values()).count(o) > 1}:
        fields = [own for own, o in form.numbers.items() if o == option]
        member = next(iter(record.layers.values())).recipe.form
        if len({getattr(member, own) for own in fields}) > 1:
            return f"PEFT's {option} stands for {' and '.join(fields)} alike, and here they differ"
    for name in record.layers:
        base = base_of(model, name)
        beside = form.beside.get(type(base))
        if beside is None:
            return f"PEFT's {form.peft_type} has no {type(base).__name__.removeprefix('Frozen')}, which {name} is"
        differs = beside.differs(base)
        if differs is not None:
            return f"{differs} ({name})"
    scales = {one.recipe.scale(one.recipe.alpha, one.recipe.r) for one in record.layers.values()}
    if form.alpha is None and scales != {1.0}:
        return f"PEFT's {form.peft_type} has no scale, and here s is {', '.join(map(str, sorted(scales)))}"
    numbers = {(one.recipe.r, form.options(one.recipe).get(form.alpha)) for one in record.layers.values()}
    if len(numbers) > 1 and not form.per_layer:
        return f"PEFT's {form.peft_type} has one rank and one alpha for all layers"
    return _obstacle_beside(record, model)


def _name(form: object) -> str:
    return getattr(form, "__name__", type(form).__name__)


def base_of(model: nn.Module, name: str) -> Frozen:
    """Return the frozen layer of a name, adapted already or not."""
    module = model.get_submodule(name)
    return module.base if isinstance(module, Adapted) else freeze(module, name)


def _obstacle_beside(record: Record, model: nn.Module) -> str | None:
    kept = modules_beside(record)
    hit = {name for name, _ in model.named_modules() if any(name.endswith(one) for one in kept)}
    if hit != set(kept):
        return f"PEFT's modules_to_save goes by the end of a name, and would train {min(hit - set(kept))} too"
    for name in record.beside:
        parameter = model.get_parameter(name)
        holders = [n for n, p in model.named_parameters(remove_duplicate=False) if p is parameter]
        if len(holders) > 1:
            return f"PEFT copies a module that trains beside the adapters, which would untie {' and '.join(holders)}"
    return None


def encode(record: Record, model: nn.Module, base_name: str | None) -> tuple[dict, dict[str, Tensor]]:
    """Return PEFT's options and tensors of a record that has no obstacle."""
    recipes = {name: one.recipe for name, one in record.layers.items()}
    usual = Counter((recipe.r, recipe.alpha, recipe.scale) for recipe in recipes.values()).most_common(1)[0][0]
    main = next(r for r in recipes.values() if (r.r, r.alpha, r.scale) == usual)
    form: PeftForm = main.form.in_peft
    bases = {name: base_of(model, name) for name in recipes}
    options = form.options(main) | {
        "base_model_name_or_path": base_name,
        "inference_mode": True,
        "target_modules": _exactly(list(recipes), model),
        "modules_to_save": modules_beside(record) or None,
    }
    if form.transposed is not None:
        options[form.transposed] = any(isinstance(base, FrozenConv1D) for base in bases.values())
    if form.per_layer:
        options |= _exceptions(form, main, recipes)
    tensors = {PREFIX + name: tensor for name, tensor in record.beside.items()}
    for name, one in record.layers.items():
        beside = form.beside[type(bases[name])]
        for end, shape in form.zeros(one.recipe.form, bases[name]).items():
            tensors[f"{PREFIX}{name}.{end}"] = next(iter(one.tensors.values())).new_zeros(shape)
        for letter, tensor in one.tensors.items():
            if letter in form.shared:
                tensors[form.shared[letter]] = tensor
                continue
            shape = beside.shape(bases[name], letter, tuple(tensor.shape))
            tensors[f"{PREFIX}{name}.{beside.ends[letter]}"] = tensor.reshape(shape)
    return options, tensors


def modules_beside(record: Record) -> list[str]:
    """Return the modules that trained beside the adapters."""
    return sorted({name.rpartition(".")[0] for name in record.beside})


def _exactly(names: list[str], model: nn.Module) -> list[str] | str:
    """Return names that PEFT matches to these layers and to no other: it takes any layer whose name *ends* in one."""
    others = [other for other, _ in model.named_modules() if other not in names]
    ambiguous = any(other.endswith(f".{name}") for name in names for other in others)
    return "|".join(re.escape(name) for name in sorted(names)) if ambiguous else sorted(names)


def _exceptions(form: PeftForm, main: Recipe, recipes: dict[str, Recipe]) -> dict[str, dict]:
    """Return the ranks and alphas of layers that differ from the usual one, under patterns that fit one layer each."""
    rooted = form.options(main).get(form.root, False)
    ranks, alphas = {}, {}
    for name, recipe in recipes.items():
        # PEFT has one rule of scale for all layers, so another rule here becomes another α.
        alpha = recipe.scale(recipe.alpha, recipe.r) * (recipe.r**0.5 if rooted else recipe.r)
        pattern = "^" + re.escape(name)
        if recipe.r != main.r:
            ranks[pattern] = recipe.r
        if form.alpha is not None and abs(alpha - form.options(main)[form.alpha]) > 1e-9 * alpha:
            alphas[pattern] = alpha
    return {"rank_pattern": ranks} | ({} if form.alpha is None else {"alpha_pattern": alphas})
