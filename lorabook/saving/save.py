"""Saving and loading adapters: PEFT's two files, so that an adapter trained here runs there and the other way round."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from lorabook.core.adapted_layer import Adapted, adapted
from lorabook.core.as_it_was import as_it_was_if_this_fails
from lorabook.core.beside import beside, note
from lorabook.core.inject import place
from lorabook.core.lora import ORIGIN
from lorabook.core.names import named_tensors
from lorabook.core.recipe import AxisConflict, Recipe
from lorabook.core.shards import in_one_process, laid_out_as, reshard
from lorabook.core.targets import Target, exactly, find_targets
from lorabook.core.unmergeable import refuse_unsaved
from lorabook.saving import own_format
from lorabook.saving.adapter_file import AdapterFile, BadAdapter, read, write
from lorabook.saving.matching import beside_adapters, matched
from lorabook.saving.peft import reading, writing
from lorabook.saving.record import Record, record
from lorabook.saving.whose import whose


def save_adapter(model: nn.Module, folder: str | Path, base_name: str | None = None) -> None:
    """Write the adapters of a model to `folder`: PEFT's files where PEFT has the variant, our own format elsewhere.

    The base is not written. What an init took out of it is part of the adapter: PiSSA's

        W_res + s·BA = W₀ + s·(BA − B₀A₀)

    is saved as LoRA of rank 2r against the original W₀. With a quantised base (QPiSSA) training ran beside Q(W_res),
    and the quantisation error W_res − Q(W_res) is lost in this form; to go on with the very same weights, inject the
    same recipe into the same W₀ and load the file into that. AdaLoRA's masked λ are saved as zeros; PEFT divides its α
    by r + 10⁻⁵, so there ΔW is smaller by the factor 1 − 10⁻⁵/r. Step rules, optimisers and attention are not saved.

    Part of the adapter is what `also_train` trained, whether or not it trains now, and every running statistic or other
    buffer that has changed since injection. Names are the plain model's, whatever it is wrapped in. Of a sharded model
    (`fully_shard`) every rank must call this, and rank 0 writes the whole.

    A LoRA's file says one α for all layers and s = α/r, which every reader knows; see `lorabook.saving.peft.scales`.

    An interrupted call leaves the folder with the adapter it had, and other files in it alone.

    Args:
        base_name: hub id or path of the base, for readers of the file; where a model of transformers was loaded from
            if None.

    Raises:
        ValueError: no adapted layer, NaN in one, or a part that no adapter file can hold (a prefix, a bottleneck);
            nothing is written.
    """
    refuse_unsaved(model)
    adapter = record(model)
    why = writing.obstacle(adapter, model)
    if why is None:
        options, tensors, note = writing.encode(adapter, model, base_name)
    else:
        options, tensors, note = *own_format.encode(adapter, why), {}
        options |= whose(model, base_name)
    in_one_process(model, lambda: write(Path(folder), options, tensors, adapter.note | note))


def load_adapter(model: nn.Module, folder: str | Path, recipe: Recipe | None = None) -> dict[str, Adapted]:
    """Load an adapter that `save_adapter` or PEFT has written, and return the adapted layers by name.

    A plain model gets the adapters injected, on the layers that the file's keys name; a model that has adapters on just
    these layers keeps them and gets their numbers. Numbers are converted to the dtype of the layer. No pickle is ever
    opened. When anything is wrong, the model is as it was.

    Args:
        recipe: further axes for a plain model: `QLoRA()` for a base in four bits, `LoRAPlus(16)` to train on. The file
            does not say how the base was kept: what was trained with QLoRA gives the same numbers with `QLoRA()` only.

    Raises:
        FileNotFoundError: the folder or one of its files is missing.
        BadAdapter: a file is damaged, or does not fit the model; the message names file and key.
        AxisConflict: `recipe` and the file want different things on one axis.
    """
    given = Recipe() if recipe is None else recipe
    file = read(Path(folder))
    own = file.options.get("peft_type") == own_format.PEFT_TYPE
    reshard(model)
    adapter = own_format.decode(file, given, model) if own else reading.decode(file, model)
    layers = adapted(model)
    if layers and recipe is not None:
        raise ValueError("this model has its adapters already, so a recipe comes too late; leave `recipe` out")
    if layers:
        # What the adapter of before trained beside its layers, and this file knows nothing of, is the base's again.
        others = [(b.now, b.numbers) for name, b in beside(model).items() if name not in adapter.beside]
        _write(model, others + matched(file, adapter, layers, model))
        return layers
    beside_adapters(file, adapter, model)
    chosen = _chosen(file, adapter, given, model)
    with as_it_was_if_this_fails(model):
        for wanted, targets in chosen:
            # Not `inject`: PiSSA's 2r, and a file of PEFT, may have a rank above min(d_out, d_in).
            layers |= place(model, wanted, targets, torch.Generator().manual_seed(0))
        _write(model, matched(file, adapter, layers, model))
    return layers


def _chosen(file: AdapterFile, adapter: Record, given: Recipe, model: nn.Module) -> list[tuple[Recipe, list[Target]]]:
    """Return the layers of the file in the model, checked, by the recipe that they share."""
    groups: dict[Recipe, list[str]] = {}
    parameters = {name for name, tensor in named_tensors(model) if isinstance(tensor, nn.Parameter)}
    for name, one in adapter.layers.items():
        wanted = (one.recipe if given.dropout is None else replace(one.recipe, dropout=None)) | given
        trains = [name for name in adapter.trains if name in parameters]
        if trains:
            wanted = wanted | Recipe(also_train=exactly(sorted(trains)))
        groups.setdefault(wanted.complete(ORIGIN), []).append(name)
    try:
        return [(wanted, find_targets(model, exactly(names), wanted)) for wanted, names in groups.items()]
    except AxisConflict:
        raise
    except (ValueError, TypeError) as error:
        raise BadAdapter(f"{file.folder}: this adapter does not fit the model: {error}") from error


@torch.no_grad()
def _write(model: nn.Module, pairs: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
    note(model, changes={id(here) for here, _ in pairs})
    for here, numbers in pairs:
        here.copy_(laid_out_as(here, numbers))
