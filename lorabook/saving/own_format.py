"""Our own format, for what PEFT does not have: a form, a layer or a combination it cannot compute.

The two files have PEFT's names. `peft_type` says "lorabook", which PEFT refuses; keys are `<layer>::<our letter>`, and
`::<name>` for a parameter or buffer beside the adapters.
"""

from pathlib import Path

from torch import Tensor, nn

from lorabook.core.lora import ORIGIN
from lorabook.core.names import first_names, named_modules
from lorabook.core.recipe import Form, Recipe, Scale
from lorabook.saving.adapter_file import AdapterFile, BadAdapter
from lorabook.saving.names import OLD_NAMES, forms, name_of, numbers_of, scales
from lorabook.saving.record import LayerRecord, Record, trained_in

PEFT_TYPE = "lorabook"


def encode(record: Record, why: str) -> tuple[dict, dict[str, Tensor]]:
    """Return options and tensors; `why` says what PEFT lacks."""
    layers = {
        name: {
            "form": name_of(one.recipe.form),
            "numbers": numbers_of(one.recipe.form),
            "r": one.recipe.r,
            "alpha": one.recipe.alpha,
            "dropout": one.recipe.dropout,
            "scale": name_of(one.recipe.scale),
        }
        for name, one in record.layers.items()
    }
    tensors = {f"{name}::{letter}": t for name, one in record.layers.items() for letter, t in one.tensors.items()}
    tensors |= {f"::{name}": tensor for name, tensor in record.beside.items()}
    options = {"peft_type": PEFT_TYPE, "why_not_peft": why, "layers": layers}
    return options, tensors


def decode(file: AdapterFile, given: Recipe, model: nn.Module) -> Record:
    """Return the record in a file. A form or scale of the caller's recipe stands in for one that the package lacks.

    Raises:
        BadAdapter: options or keys do not fit together, or name a layer that the model lacks.
    """
    described = file.options.get("layers")
    if not isinstance(described, dict) or not described:
        raise BadAdapter(f"{file.options_path}: 'layers' is {described!r}; expected an object with every adapted layer")
    modules, first = dict(named_modules(model)), first_names(model)
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
            beside[first.get(letter, letter)] = tensor
    layers = {
        first[name]: LayerRecord(_recipe(file.options_path, name, described[name], given), tensors[name])
        for name in described
    }
    return Record(layers, beside, trained_in(file.note, beside, first), file.note)


def _recipe(path: Path, name: str, entry: dict, given: Recipe) -> Recipe:
    try:
        form = _value(entry["form"], entry.get("numbers", {}), forms(), given.form)
        scale = _value(entry["scale"], {}, scales(), given.scale)
        return Recipe(entry["r"], entry["alpha"], entry["dropout"], form, ORIGIN.init, scale)
    except (KeyError, TypeError, ValueError) as error:
        raise BadAdapter(f"{path}: the entry of layer {name} does not describe an adapter: {error!r}") from error


def _value(name: str, numbers: dict, known: dict[str, type], given: Form | Scale | None) -> Form | Scale:
    """Return the value that a file names; one of the caller's stands in where the package has none of that name."""
    name = OLD_NAMES.get(name, name)
    if given is not None and name_of(given) == name:
        return given
    if name not in known:
        raise ValueError(f"{name!r} is none of {', '.join(known)}; if it is yours, give load_adapter a recipe with it")
    return known[name](**numbers)
