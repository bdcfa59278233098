"""Which number of a file goes where in an adapted model, every one of them checked before the first is written."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from lorabook.core.adapted_layer import Adapted
from lorabook.core.names import named_tensors
from lorabook.core.shards import whole
from lorabook.saving.adapter_file import AdapterFile, BadAdapter
from lorabook.saving.peft.forms import FORMS
from lorabook.saving.record import LayerRecord, Record


def matched(
    file: AdapterFile, adapter: Record, layers: dict[str, Adapted], model: nn.Module
) -> list[tuple[Tensor, Tensor]]:
    """Return pairs (place in the model, its new numbers).

    Raises:
        BadAdapter: layers, form, scale, keys, shapes or the range of numbers do not fit.
    """
    odd = sorted(adapter.layers.keys() ^ layers.keys())
    if odd:
        here, there = ("the file", "the model") if odd[0] in adapter.layers else ("the model", "the file")
        raise BadAdapter(
            f"{file.folder}: layer {odd[0]} has an adapter in {here} and none in {there}: load into a plain model, or "
            "into one that was injected with the same targets"
        )
    pairs = beside_adapters(file, adapter, model)
    for name, layer in layers.items():
        one = _continued(file, name, adapter.layers[name], layer)
        _refuse_other_update(file, name, one, layer)
        mine = layer.update.kept()
        for letter in sorted(mine.keys() ^ one.tensors.keys()):
            fault = "missing" if letter in mine else "unexpected"
            raise BadAdapter(f"{file.weights_path}: {fault} key: {letter} of layer {name}")
        pairs += [
            (place, _checked(file, f"{name}.{key}", one.tensors[key], place, layer)) for key, place in mine.items()
        ]
    return pairs


def beside_adapters(file: AdapterFile, adapter: Record, model: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """Return the pairs of what lies beside the adapters: what trained there, running statistics."""
    here = dict(named_tensors(model))
    for name in adapter.beside:
        if name not in here:
            raise BadAdapter(
                f"{file.weights_path}: {name} belongs to the adapter, beside its layers, and this model has no such "
                "parameter or buffer"
            )
    return [(here[name], _checked(file, name, t, here[name])) for name, t in adapter.beside.items()]


def _checked(file: AdapterFile, name: str, tensor: Tensor, here: Tensor, layer: Adapted | None = None) -> Tensor:
    if tensor.shape != here.shape:
        raise BadAdapter(
            f"{file.weights_path}: {name} has shape {tuple(tensor.shape)}; this model needs {tuple(here.shape)}"
        )
    if tensor.is_floating_point() != here.is_floating_point():
        raise BadAdapter(f"{file.weights_path}: {name} holds {tensor.dtype}; this model keeps {here.dtype} there")
    converted = tensor.to(here.dtype)
    # What a 16-bit base keeps in float32 is rounded for every product.
    dtype = here.dtype if layer is None else layer.base.store.dtype
    if not converted.to(dtype).isfinite().all():
        raise BadAdapter(f"{file.weights_path}: {name} has numbers too large for {dtype}, this model's dtype")
    return converted


def _refuse_other_update(file: AdapterFile, name: str, one: LayerRecord, layer: Adapted) -> None:
    theirs, mine = one.recipe, layer.recipe.form
    scale = theirs.scale.build(theirs.alpha, theirs.r)
    peft = FORMS.get(type(mine))
    read_as_mine = peft is not None and peft.read_as is type(theirs.form)
    if theirs.form != mine and not read_as_mine:
        raise BadAdapter(f"{file.folder}: {name} is a {theirs.form!r} in the file and a {mine!r} in the model")
    if layer.start is not None and theirs.init != layer.recipe.init:
        raise BadAdapter(
            f"{file.folder}: {name} is relative to the whole W₀ in the file, and in the model to what its init left of "
            "it: load into a plain model"
        )
    if abs(layer.scale - scale) > 1e-9 * scale:
        raise BadAdapter(
            f"{file.folder}: the scale of {name} is {scale} in the file and {layer.scale} in the model: α or r differ"
        )


def _continued(file: AdapterFile, name: str, one: LayerRecord, layer: Adapted) -> LayerRecord:
    """Undo "rank 2r against W₀" for a layer that has the same B₀A₀ taken out of its W₀: give back A and B."""
    if layer.start is None or one.recipe.init == layer.recipe.init or one.recipe.r != 2 * layer.r:
        return one
    (a, a0), (b, b0) = one.tensors["A"].chunk(2), one.tensors["B"].chunk(2, dim=1)
    mine = whole(layer.start.B).double().cpu() @ whole(layer.start.A).double().cpu()
    apart = float((-(b0.double() @ a0.double()) - mine).norm() / mine.norm())
    # W_res depends on the product B₀A₀ only: one SVD and another may differ in signs and in the last digit.
    if apart > 8 * max(torch.finfo(dtype).eps for dtype in (a0.dtype, layer.start.A.dtype)):
        raise BadAdapter(
            f"{file.weights_path}: {name} was started from another W₀: its B₀A₀ is {apart:.1e} away from this model's. "
            "Load it into a plain model"
        )
    recipe = replace(one.recipe, r=layer.r, alpha=one.recipe.alpha * _half(one), init=layer.recipe.init)
    return LayerRecord(recipe, one.tensors | {"A": a, "B": b})


def _half(one: LayerRecord) -> float:
    """Return what α is multiplied by when the rank is halved and the scale stays."""
    scale, alpha, r = one.recipe.scale, one.recipe.alpha, one.recipe.r
    return scale.build(alpha, r) / scale.build(alpha, r // 2)
