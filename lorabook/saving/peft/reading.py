"""Reading PEFT's format: every option and every key is accounted for before the model is touched."""

from collections.abc import Iterable

from torch import Tensor, nn

from lorabook.core.adapted_layer import Adapted
from lorabook.core.dense import Dense
from lorabook.core.frozen import Frozen, UnsupportedLayer
from lorabook.core.names import first_names, module_at, named_modules, route
from lorabook.core.recipe import Recipe
from lorabook.core.targets import places_of
from lorabook.saving.adapter_file import AdapterFile, BadAdapter
from lorabook.saving.peft.beside import Copies, copied_ends, left_out_by_peft, plain, same_numbers
from lorabook.saving.peft.form import LayerKeys, PeftForm
from lorabook.saving.peft.forms import FORMS
from lorabook.saving.peft.options import form_of, recipe_of, refuse_malformed, targeted
from lorabook.saving.peft.scales import NOTE, unfolded
from lorabook.saving.peft.untie import advice
from lorabook.saving.peft.writing import PREFIX, base_of
from lorabook.saving.record import LayerRecord, Record, trained_in


def decode(file: AdapterFile, model: nn.Module) -> Record:
    """Return the record in a file that PEFT, or we in PEFT's format, have written for this model.

    Raises:
        BadAdapter: the file asks for something we do not have, or does not fit the model; it names file and key.
    """
    form = form_of(file)
    peft = FORMS[form]
    refuse_malformed(file)
    parts = _sorted_by_layer(file, peft, model)
    _refuse_missing_layers(file, parts.layers.keys() | parts.zero, model)
    _refuse_trained_biases(file, parts.layers, model)
    layers, own = {}, file.note.get(NOTE, {})
    for key, letter in ((key, letter) for letter, key in peft.shared.items() if letter not in parts.shared):
        raise BadAdapter(f"{file.weights_path}: missing key {key!r} ({letter}): save it with save_projection=True")
    for name, tensors in parts.layers.items():
        base = _base(file, model, name)
        recipe = recipe_of(file, form, name, base, tensors)
        layers[name] = LayerRecord(recipe, _fitted(file, peft, base, name, tensors, recipe))
        if name in own:
            layers[name] = unfolded(file.weights_path, peft, layers[name], own[name])
    if parts.shared:
        first = next(name for name, _ in named_modules(model) if name in layers)
        layers[first].tensors.update(parts.shared)
    beside = parts.copies.by_first_name()
    return Record(layers, beside, trained_in(file.note, beside, parts.copies.first), file.note)


class _Parts:
    """Tensors of the file by layer and letter, what all layers share, PEFT's copies, and layers with a zero part."""

    def __init__(self, file: AdapterFile, model: nn.Module) -> None:
        self.layers: dict[str, dict[str, Tensor]] = {}
        self.shared: dict[str, Tensor] = {}
        self.zero: set[str] = set()
        self.copies = Copies(model, copied_ends(file, model))


def _sorted_by_layer(file: AdapterFile, peft: PeftForm, model: nn.Module) -> _Parts:
    parts = _Parts(file, model)
    ends = {end for keys in peft.layers.values() for end in keys.ends.values()}
    modules = dict(named_modules(model))
    whole = {key: letter for letter, key in peft.shared.items()}
    for key, tensor in file.tensors.items():
        if key in whole:
            parts.shared[whole[key]] = tensor
            continue
        path = plain(key.removeprefix(PREFIX))
        for other, written in peft.also_read.items():
            path = path.removesuffix(other) + written if path.endswith(other) else path
        end = next((end for end in ends if path.endswith(f".{end}")), None)
        if path.endswith(".zeros") and not tensor.any():  # PEFT's GLoRA writes what a term of kind "none" adds
            parts.zero.add(path.removesuffix(".zeros").rpartition(".")[0])
            continue
        if path.endswith(peft.passed_over):
            continue
        if not key.startswith(PREFIX) or (end is None and not _is_known(file, path, tensor, model, parts)):
            raise BadAdapter(
                f"{file.weights_path}: unexpected key {key!r}: no part of a {peft.peft_type} adapter of this model"
            )
        if end is None:
            continue
        name = path.removesuffix(f".{end}")
        if name not in modules:
            layers = _layers(model)
            raise BadAdapter(
                f"{file.weights_path}: key {key!r} belongs to a layer that this model lacks; its layers are "
                f"{', '.join(layers[:8])} ({len(layers)} in all)"
            )
        if not tensor.is_floating_point():
            raise BadAdapter(f"{file.weights_path}: {key} holds {tensor.dtype}; expected floating-point numbers")
        _refuse_other_places(file, model, name)
        name = parts.copies.first[name]
        letter = {e: letter for letter, e in _keys_of(file, peft, model, name).ends.items()}.get(end)
        if letter not in peft.sizes:
            raise BadAdapter(f"{file.weights_path}: unexpected key {key!r}: {name} has no such part")
        parts.layers.setdefault(name, {})[letter] = tensor
    _refuse_bad_copies(file, parts.copies)
    if not parts.layers:
        asked = ", ".join(f"{option}={file.options.get(option)!r}" for option in dict.fromkeys(peft.numbers.values()))
        raise BadAdapter(
            f"{file.weights_path}: no number of a {peft.peft_type} adapter{asked and f' with {asked}'}; its keys are "
            f"{list(file.tensors)[:3]}"
        )
    return parts


def _refuse_other_places(file: AdapterFile, model: nn.Module, name: str) -> None:
    """PEFT puts its adapter in one place of a layer and leaves the layer's other places as they were."""
    layer = module_at(model, name)
    if len(places_of(model, layer)) == 1:
        return
    here = route(model, name)[-1]
    other = next(n for n, module in named_modules(model) if module is layer and route(model, n)[-1] != here)
    raise BadAdapter(
        f"{file.weights_path}: PEFT adapted {name} alone, and in this model {other} is the very same layer: make it a "
        f"layer of its own first, as it was in PEFT: {advice(model, name, other)}"
    )


def _refuse_bad_copies(file: AdapterFile, copies: Copies) -> None:
    missing, untied = copies.missing(), copies.untied()
    if missing is not None:
        raise BadAdapter(f"{file.weights_path}: missing key {PREFIX + missing!r}, of a module in modules_to_save")
    if untied is not None:
        name, other = untied
        raise BadAdapter(
            f"{file.weights_path}: {name} trained apart from {other}, and in this model the two are tied, one tensor: "
            f"untie them first, as it was in PEFT: {advice(copies.model, name, other)}"
        )


def _is_known(file: AdapterFile, path: str, tensor: Tensor, model: nn.Module, parts: _Parts) -> bool:
    """Keep a tensor of a module that PEFT copied, or check a copy of the frozen base."""
    name = path.replace(".base_layer.", ".")
    if parts.copies.take(name, tensor):
        return True
    mine = _frozen(model, parts.copies, name)
    if mine is None:
        return False
    if not same_numbers(mine, tensor):
        raise BadAdapter(
            f"{file.weights_path}: key {PREFIX + path!r} is frozen in {name.rpartition('.')[0]}, where this model has "
            f"other numbers, {tuple(mine.shape)}: the adapter was trained on another base"
        )
    return True


def _frozen(model: nn.Module, copies: Copies, name: str) -> Tensor | None:
    """Return what PEFT's copy of a frozen tensor must equal; None where this model has none to compare with."""
    holder, _, own = name.rpartition(".")
    layer = module_at(model, holder) if holder in copies.first else None
    if not isinstance(layer, Adapted):
        return copies.known.get(name)
    whole_w0 = own == "weight" and type(layer.base.store) is Dense and layer.start is None
    return layer.base.native(layer.base.matrix) if whole_w0 else None


def _base(file: AdapterFile, model: nn.Module, name: str) -> Frozen:
    try:
        return base_of(model, name)
    except UnsupportedLayer as error:
        raise BadAdapter(f"{file.weights_path}: {error}") from error


def _keys_of(file: AdapterFile, peft: PeftForm, model: nn.Module, name: str) -> LayerKeys:
    base = _base(file, model, name)
    keys = peft.layers.get(type(base))
    differs = f"PEFT has no {peft.peft_type} on a {type(base).__name__}" if keys is None else keys.differs(base)
    if differs is not None:
        raise BadAdapter(f"{file.weights_path}: the adapter of {name} means something else here: {differs}")
    return keys


def _refuse_missing_layers(file: AdapterFile, parts: Iterable[str], model: nn.Module) -> None:
    """Refuse a file without tensors for a layer that its own options target."""
    targets, options = file.options.get("target_modules"), file.options
    if not targets or targets == "all-linear" or options.get("layers_to_transform") is not None:
        return
    copied = options.get("modules_to_save") or ()
    for name in _layers(model):
        left_out = targeted(options.get("exclude_modules"), name) or left_out_by_peft(copied, name)
        if targeted(targets, name) and not left_out and name not in parts:
            raise BadAdapter(
                f"{file.weights_path}: no key for layer {name}, which target_modules in {file.options_path.name} names"
            )


def _refuse_trained_biases(file: AdapterFile, layers: Iterable[str], model: nn.Module) -> None:
    """Refuse a file whose biases trained, on a model that has such biases; where it has none, nothing came of it."""
    option = file.options.get("bias") or "none"
    if option == "none":
        return
    trained = [name for name in layers if _base(file, model, name).bias is not None]
    if option == "all":
        trained = [name.removesuffix(".bias") for name, _ in model.named_parameters() if name.endswith("bias")]
    if trained:
        raise BadAdapter(
            f"{file.options_path}: bias is {option!r}, so the bias of {trained[0]} trained beside the adapters, and "
            "lorabook keeps it frozen: merge the adapter into its base with PEFT, or train with bias='none'"
        )


def _fitted(
    file: AdapterFile, peft: PeftForm, base: Frozen, name: str, tensors: dict[str, Tensor], recipe: Recipe
) -> dict[str, Tensor]:
    """Return a layer's tensors in our shapes, none missing."""
    layer_keys = peft.layers[type(base)]
    ours = peft.shapes(recipe.form, base, recipe.r)
    keys = {letter: f"{PREFIX}{name}.{end}" for letter, end in layer_keys.ends.items()}
    extra = [keys[letter] for letter in tensors if letter not in ours]
    if extra:
        raise BadAdapter(f"{file.weights_path}: unexpected key {extra[0]!r}: {name} at rank {recipe.r} has none")
    missing = [keys[letter] for letter in ours if letter not in tensors]
    if missing:
        raise BadAdapter(f"{file.weights_path}: missing key {missing[0]!r}")
    try:
        tensors = peft.restore(file.options, name, tensors)
    except ValueError as error:
        raise BadAdapter(f"{file.options_path}: {error}") from error
    for letter, tensor in tensors.items():
        expected = layer_keys.shape(base, letter, ours[letter])
        if tuple(tensor.shape) != expected:
            raise BadAdapter(
                f"{file.weights_path}: key {keys[letter]!r} has shape {tuple(tensor.shape)}; for rank {recipe.r} this "
                f"model needs {expected}. The adapter is another model's, or the rank in {file.options_path.name} is "
                "wrong"
            )
    return {letter: tensor.reshape(ours[letter]) for letter, tensor in tensors.items()}


def _layers(model: nn.Module) -> list[str]:
    """Return the first names of what holds no further layers: plain ones, and adapted ones as a whole."""
    first = first_names(model)
    adapters = tuple(f"{name}." for name, module in named_modules(model) if isinstance(module, Adapted))
    return [
        name
        for name, module in named_modules(model)
        if name
        and first[name] == name
        and not name.startswith(adapters)
        and (f"{name}." in adapters or not list(module.children()))
    ]
