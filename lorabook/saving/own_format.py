"""Our own format, for what PEFT does not have: a form, a layer or a combination it cannot compute.

The two files have PEFT's names. `peft_type` says "lorabook", which PEFT refuses; keys are `<layer>::<our letter>`, and
`::<parameter>` for a parameter that trained beside the adapters.
"""

from dataclasses import asdict
from pathlib import Path

from torch import Tensor, nn

from lorabook.core.kaiming import kaiming
from lorabook.core.recipe import Recipe
from lorabook.core.update import Family
from lorabook.saving.adapter_file import AdapterFile, BadAdapter
from lorabook.saving.ideas import forms, scales
from lorabook.saving.record import LayerRecord, Record

PEFT_TYPE = "lorabook"


def encode(record: Record, base_name: str | None, why: str) -> tuple[dict, dict[str, Tensor]]:
    """Return options and tensors; `why` says what PEFT lacks."""
    layers = {
        name: {
            "form": _name(one.recipe.form),
            **_numbers(one.recipe.form),
            "r": one.recipe.r,
            "alpha": one.recipe.alpha,
            "dropout": one.recipe.dropout,
            "scale": _name(one.recipe.scale),
        }
        for name, one in record.layers.items()
    }
    tensors = {f"{name}::{letter}": t for name, one in record.layers.items() for letter, t in one.tensors.items()}
    tensors |= {f"::{name}": tensor for name, tensor in record.beside.items()}
    options = {"peft_type": PEFT_TYPE, "why_not_peft": why, "base_model_name_or_path": base_name, "layers": layers}
    return options, tensors


def decode(file: AdapterFile, given: Recipe, model: nn.Module) -> Record:
    """Return the record in a file. A form or scale of the caller's recipe stands in for one that the package lacks.

    Raises:
        BadAdapter: options or keys do not fit together, or name a layer that the model lacks.
    """
    described = file.options.get("layers")
    if not isinstance(described, dict) or not described:
        raise BadAdapter(f"{file.options_path}: 'layers' is {described!r}; expected an object with every adapted layer")
    modules = dict(model.named_modules())
    for name in described:
        if name not in modules:
            raise BadAdapter(f"{file.options_path}: the adapter has a layer {name}, which this model lacks")
    tensors: dict[str, dict[str, Tensor]] = {name: {} for name in described}
    beside = {}
    for key, tensor in file.tensors.items():
        name, mark, letter = key.rpartition("::")
        if not mark or (name and name not in tensors):
            raise BadAdapter(f"{file.weights_path}: unexpected key {key!r}; {file.options_path.name} has no such layer")
        if name:
            tensors[name][letter] = tensor
        else:
            beside[letter] = tensor
    layers = {
        name: LayerRecord(_recipe(file.options_path, name, described[name], given), tensors[name]) for name in described
    }
    return Record(layers, beside, file.note)


def _recipe(path: Path, name: str, said: dict, given: Recipe) -> Recipe:
    try:
        form = _idea(said["form"], forms(), given.form)
        if isinstance(form, type) and issubclass(form, Family):
            form = form(**said["numbers"])
        scale = _idea(said["scale"], scales(), given.scale)
        return Recipe(said["r"], said["alpha"], said["dropout"], form, kaiming, scale)
    except (KeyError, TypeError, ValueError) as error:
        raise BadAdapter(f"{path}: the entry of layer {name} does not describe an adapter: {error!r}") from error


def _idea(name: str, known: dict, given: object) -> object:
    if given is not None and _name(given) == name:
        return given
    if name not in known:
        raise ValueError(f"{name!r} is none of {', '.join(known)}; if it is yours, give load_adapter a recipe with it")
    return known[name]


def _numbers(form: object) -> dict[str, dict]:
    """Return what makes one member of a family."""
    return {"numbers": asdict(form)} if isinstance(form, Family) else {}


def _name(idea: object) -> str:
    return getattr(idea, "__name__", type(idea).__name__)
