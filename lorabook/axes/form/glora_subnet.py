"""Which kinds a supernet of GLoRA uses, and how one of its configurations becomes an adapter of its own."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import nn

from lorabook.axes.form.glora import GeneralisedLoRA, GLoRAForm
from lorabook.axes.form.glora_supernet import Supernet
from lorabook.core.adapted_layer import Adapted, adapted
from lorabook.core.recipe import Factors, LayerSpec
from lorabook.core.update import in_float32_at_least

Configuration = Mapping[str, GLoRAForm]
"""Which kinds each layer uses, by the layer's name."""


def supernets(model: nn.Module) -> dict[str, Adapted]:
    """Return the layers that hold a supernet, by name.

    Raises:
        ValueError: there is none.
    """
    layers = {name: layer for name, layer in adapted(model).items() if isinstance(layer.update, Supernet)}
    if not layers:
        raise ValueError("this model holds no supernet of GLoRA: inject a GLoRASupernet recipe first")
    return layers


def use_kinds(model: nn.Module, configuration: Configuration) -> None:
    """Let every supernet compute with the kinds of a configuration from now on. No number changes.

    A file of a supernet holds the largest kinds and no configuration: to save one, `cut_supernet` first.

    Raises:
        ValueError: a layer is missing or unknown, or a kind is none of the layer's choices.
    """
    layers = supernets(model)
    if configuration.keys() != layers.keys():
        odd = sorted(configuration.keys() ^ layers.keys())
        raise ValueError(f"configuration and model differ in {', '.join(odd)}; name exactly {', '.join(layers)}")
    for name, layer in layers.items():
        for term, kind in _on(layer, configuration[name]).items():
            if kind not in layer.update.choices[term]:
                raise ValueError(
                    f"{name}: {term} is {kind!r}, and the supernet was made for {', '.join(layer.update.choices[term])}"
                )
    for name, layer in layers.items():
        layer.update.kinds = _on(layer, configuration[name])


def kinds_in_use(model: nn.Module) -> dict[str, GLoRAForm]:
    """Return the configuration that the supernets of a model compute with now."""
    return {name: GLoRAForm(**layer.update.kinds) for name, layer in supernets(model).items()}


def cut_supernet(model: nn.Module, configuration: Configuration) -> dict[str, Adapted]:
    """Put in the place of every supernet the plain GLoRA adapter of a configuration; return the adapters by name.

    The adapter has the supernet's numbers, so the model computes what it computed at that configuration. A layer whose
    terms are all "none" becomes the plain layer again. Make a new optimiser to train further.

    Raises:
        ValueError: as in `use_kinds`, or the configuration leaves nothing of any layer.
    """
    use_kinds(model, configuration)
    layers = supernets(model)
    kept = {name for name, layer in layers.items() if set(layer.update.kinds.values()) != {"none"}}
    if not kept:
        raise ValueError("every term of every layer is none in this configuration, so no adapter would be left")
    for name, layer in layers.items():
        if name in kept:
            layer.update = _subnet(name, layer)
            layer.recipe = replace(layer.recipe, form=configuration[name], rule=None)
        else:
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, layer.plain().train(layer.training))
    return {name: layers[name] for name in layers if name in kept}


def _on(layer: Adapted, kinds: GLoRAForm) -> dict[str, str]:
    return kinds.on(layer.base.bias is not None)


@torch.no_grad()
def _subnet(name: str, layer: Adapted) -> GeneralisedLoRA:
    """Return the adapter that holds a copy of the numbers in use."""
    numbers, like = layer.update.terms(), layer.base.matrix
    factors = Factors(A=like.new_zeros(layer.r, like.shape[1]), B=like.new_zeros(len(like), layer.r))
    spec = LayerSpec(name, layer.r, layer.scale, 0.0, torch.Generator())
    subnet = in_float32_at_least(GeneralisedLoRA(layer.base, factors, spec, layer.update.kinds))
    for letter, parameter in subnet.named_parameters():
        parameter.copy_(numbers[letter])
    return subnet.train(layer.training)
