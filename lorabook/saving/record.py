"""An adapter as data, in no file format yet: per layer a recipe and its tensors."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from lorabook.core.adapted_layer import Adapted, adapted
from lorabook.core.beside import beside, outside
from lorabook.core.dense import Dense
from lorabook.core.lora import ORIGIN
from lorabook.core.recipe import Recipe
from lorabook.core.shards import refuse_flat_shards, reshard, whole


@dataclass(frozen=True)
class LayerRecord:
    """One layer: form, r, α, scale, and the update's tensors by name.

    `recipe.init` is LoRA's own where the tensors are relative to the whole W₀, and PiSSA's where they are relative to
    what PiSSA left of it.
    """

    recipe: Recipe
    tensors: dict[str, Tensor]


@dataclass(frozen=True)
class Record:
    """Every adapted layer by name, what belongs to the adapter beside them, and what is worth knowing.

    `beside` holds what `also_train` trained, whether or not it trains now, and the buffers that a run changed (running
    statistics), by the first plain name of each; `trains` names those that are to train where the record is loaded.
    """

    layers: dict[str, LayerRecord]
    beside: dict[str, Tensor]
    trains: frozenset[str]
    note: dict


SAVED = ("r", "alpha", "dropout", "form", "scale", "names")
"""What a file says of a layer's recipe. Bases, optimisers, step rules and attention are not saved."""


def record(model: nn.Module) -> Record:
    """Return the adapters of a model as data; shards (FSDP) are gathered, so every process must call this.

    Raises:
        ValueError: the model holds no adapted layer, or an adapter has NaN or infinite entries.
    """
    layers = adapted(model)
    if not layers:
        raise ValueError("this model has no adapted layer to save: call inject first")
    refuse_flat_shards(model)
    reshard(model)
    records = {name: _record_layer(layer) for name, layer in layers.items()}
    if not any(one.tensors for one in records.values()):
        raise ValueError(
            "the adapted layers of this model keep nothing of their own (a bank's pool holds copies of adapters), so "
            "nothing was saved: save each adapter from the model that trained it"
        )
    known = beside(model)
    trains = {name for name, before in known.items() if before.trains}
    trains |= {names[0] for names, tensor, _ in outside(model) if tensor.requires_grad}
    chosen = {names[0]: tensor for names, tensor, _ in outside(model) if names[0] in trains or names[0] in known}
    kept = {name: copied(t) for name, t in chosen.items() if name in trains or known[name].belongs_to_adapter()}
    for name, tensors in [(name, one.tensors) for name, one in records.items()] + [("", kept)]:
        for letter, tensor in tensors.items():
            if not tensor.isfinite().all():
                where = f"{name}.{letter}".removeprefix(".")
                raise ValueError(f"{where} has NaN or infinite entries, so nothing was saved: its training diverged")
    return Record(records, kept, frozenset(trains), _note(layers) | ({"also_train": sorted(trains)} if kept else {}))


def _record_layer(layer: Adapted) -> LayerRecord:
    tensors = {name: copied(tensor) for name, tensor in layer.update.kept().items()}
    recipe = replace(Recipe(), **{axis: getattr(layer.recipe, axis) for axis in SAVED}, init=ORIGIN.init)
    if layer.start is None:
        return LayerRecord(recipe, tensors)
    factors, r = layer.against_whole_w0(), 2 * recipe.r
    # Twice the rank, and the same s.
    alpha = recipe.alpha * layer.scale / recipe.scale.build(recipe.alpha, r)
    whole_w0 = {"A": copied(factors.A), "B": copied(factors.B)}
    return LayerRecord(replace(recipe, r=r, alpha=alpha), tensors | whole_w0)


def trained_in(note: dict, beside: dict[str, Tensor], first: dict[str, str]) -> frozenset[str]:
    """Return which of the tensors beside the adapters trained: our files' note says so; in PEFT's, all of them.

    Args:
        first: the first plain name of every name in the model.
    """
    noted = note.get("also_train")
    trained = set(beside) if noted is None else {first.get(name, name) for name in noted}
    return frozenset(name for name in beside if name in trained)


def copied(tensor: Tensor) -> Tensor:
    """Return a whole copy of a tensor in main memory; of shards every process must call this."""
    return whole(tensor).cpu().clone(memory_format=torch.contiguous_format)


def _note(layers: dict[str, Adapted]) -> dict:
    """Return what a reader of the file may want to know and cannot see in the numbers."""
    note = {"version": 1, "recipe": " + ".join(sorted({layer.recipe.label for layer in layers.values()}))}
    stores = sorted({type(layer.base.store).__name__ for layer in layers.values()} - {Dense.__name__})
    if stores:
        note["trained_on"] = f"a base stored as {', '.join(stores)}"
    if any(layer.start is not None and type(layer.base.store) is not Dense for layer in layers.values()):
        note["lost"] = (
            "the quantisation error of what the init left of W0: these factors are relative to the original W0, and "
            "were trained beside a quantised W0 - s*B0*A0"
        )
    return note
