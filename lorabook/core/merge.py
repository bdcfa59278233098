"""Merging puts a plain layer in the place of every adapted one; `merged` and `disabled` do it for a while."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import nn

from lorabook.core.adapted_layer import Adapted, adapted
from lorabook.core.before import restored
from lorabook.core.beside import beside
from lorabook.core.names import refuse_compiled_alone
from lorabook.core.shards import refuse_shards, reshard
from lorabook.core.unmergeable import refuse_unmergeable


def merge(model: nn.Module) -> nn.Module:
    """Replace every adapted layer by the plain layer with the effective W, in place, and return the model.

    Raises:
        ValueError: the model holds no adapted layer, a part that no matrix can stand for, or shards (FSDP).
    """
    refuse_unmergeable(model)
    refuse_sharded(model, "a shard cannot be merged")
    _replace(model, Adapted.plain)
    return model


@contextmanager
def merged(model: nn.Module) -> Iterator[nn.Module]:
    """Plain layers inside the block; the same adapters, bit for bit, after it."""
    refuse_unmergeable(model)
    refuse_sharded(model, "a shard cannot be merged")
    with _replaced(model, Adapted.plain):
        yield model


@contextmanager
def disabled(model: nn.Module) -> Iterator[nn.Module]:
    """The model as it was before injection, inside the block.

    That is its layers, what `also_train` trained, and running statistics. A quantised base stays quantised, and in
    training mode LongLoRA's attention stays in groups. What was neither named by `also_train` nor trained by `fit` (a
    parameter that you unfroze and trained in a loop of your own) is not known, and stays as it is.
    """
    reshard(model)
    noted = beside(model).values()
    with _replaced(model, Adapted.original), restored(noted):
        yield model


@contextmanager
def _replaced(model: nn.Module, by: Callable[[Adapted], nn.Module]) -> Iterator[None]:
    places = _replace(model, by)
    try:
        yield
    finally:
        for parent, child, layer in places:
            setattr(parent, child, layer)


def _replace(model: nn.Module, by: Callable[[Adapted], nn.Module]) -> list[tuple[nn.Module, str, Adapted]]:
    """Put by(layer) in every place that holds an adapted layer; return what was where."""
    places = [
        (parent, child, layer)
        for parent in model.modules()
        for child, layer in parent._modules.items()
        if isinstance(layer, Adapted)
    ]
    if not places:
        raise ValueError("this model has no adapted layer: call inject first")
    refuse_compiled_alone((parent, child) for parent, child, _ in places)
    replacements = {id(layer): by(layer).train(layer.training) for _, _, layer in places}
    for parent, child, layer in places:
        setattr(parent, child, replacements[id(layer)])
    return places


def refuse_sharded(model: nn.Module, what: str) -> None:
    """Refuse what needs whole updates: a product of a shard and a whole W₀ is on every rank another part of the layer.

    Raises:
        ValueError: an update is sharded (FSDP); naming it, and what to do instead.
    """
    reshard(model)
    named = ((f"{name}.update.{p}", t) for name, a in adapted(model).items() for p, t in a.update.named_parameters())
    instead = "save_adapter(model, folder), load the folder into the plain model in one process, and do it there"
    refuse_shards(named, what, instead)
