"""Merging puts a plain layer in the place of every adapted one; `merged` and `disabled` do it for a while."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import nn

from lorabook.core.adapted_layer import Adapted
from lorabook.core.unmergeable import refuse_unmergeable


def merge(model: nn.Module) -> nn.Module:
    """Replace every adapted layer by the plain layer with the effective W, in place, and return the model.

    Raises:
        ValueError: the model holds no adapted layer, or a part that no matrix can stand for.
    """
    refuse_unmergeable(model)
    _replace(model, Adapted.plain)
    return model


@contextmanager
def merged(model: nn.Module) -> Iterator[nn.Module]:
    """Plain layers inside the block; the same adapters, bit for bit, after it."""
    refuse_unmergeable(model)
    with _replaced(model, Adapted.plain):
        yield model


@contextmanager
def disabled(model: nn.Module) -> Iterator[nn.Module]:
    """The model as it was before injection, inside the block.

    A quantised base stays quantised, and what `also_train` trained (LongLoRA's norms) stays trained.
    """
    with _replaced(model, Adapted.original):
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
    replacements = {id(layer): by(layer).train(layer.training) for _, _, layer in places}
    for parent, child, layer in places:
        setattr(parent, child, replacements[id(layer)])
    return places
