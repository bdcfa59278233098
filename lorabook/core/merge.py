"""Merging puts a plain layer in the place of every adapted one; `merged` and `disabled` do it for a while."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import nn

from lorabook.core.adapted_layer import Adapted, adapted
from lorabook.core.before import restored
from lorabook.core.beside import beside
from lorabook.core.finite import refuse_not_finite
from lorabook.core.names import refuse_compiled_alone
from lorabook.core.plain_layer import hand_over_hooks
from lorabook.core.shards import refuse_shards, reshard
from lorabook.core.unmergeable import refuse_unmergeable


def merge(model: nn.Module) -> nn.Module:
    """Replace every adapted layer by the plain layer with the effective W, in place, and return the model.

    The layers have the attributes and hooks of those that were adapted, and are frozen. Until the last is built the
    adapted ones stay in memory, so that what fails leaves the model as it was.

    Raises:
        ValueError: the model holds no adapted layer, a part that no matrix can stand for, shards (FSDP), or an
            effective W with an entry that is no number. Nothing has changed then.
    """
    refuse_unmergeable(model)
    refuse_sharded(model, "a shard cannot be merged")
    _replace(model, _plain)
    return model


@contextmanager
def merged(model: nn.Module) -> Iterator[nn.Module]:
    """Plain layers inside the block; the same adapters, bit for bit, after it."""
    refuse_unmergeable(model)
    refuse_sharded(model, "a shard cannot be merged")
    with _replaced(model, _plain):
        yield model


@contextmanager
def disabled(model: nn.Module) -> Iterator[nn.Module]:
    """The model as it was before injection, inside the block, but frozen.

    That is its layers, what `also_train` trained, and running statistics. The layers inside share the memory of W₀:
    nothing is copied. A quantised base stays quantised, and in training mode LongLoRA's attention stays in groups. What
    was neither named by `also_train` nor trained by `fit` (a parameter that you unfroze and trained in a loop of your
    own) is not known, and stays as it is. Do not move or cast the model inside the block.
    """
    reshard(model)
    noted = beside(model).values()
    with _replaced(model, lambda name, layer: layer.original()), restored(noted):
        yield model


def _plain(name: str, layer: Adapted) -> nn.Module:
    plain = layer.plain()
    for letter, numbers in plain.named_parameters():
        refuse_not_finite(
            f"{name}.{letter} with its update", numbers,
            f"nothing was merged. Its training diverged, or {numbers.dtype} is too small for it: train anew at a lower "
            "lr, or merge in float32",
        )  # fmt: skip
    return plain


@contextmanager
def _replaced(model: nn.Module, by: Callable[[str, Adapted], nn.Module]) -> Iterator[None]:
    places = _replace(model, by)
    try:
        with _no_buffers_sent(model):
            yield
    finally:
        for parent, child, layer in places:
            # What happened to the stand-in, a hook or model.eval(), happened to the layer.
            stand_in = parent._modules[child]
            hand_over_hooks(stand_in, layer)
            layer.train(stand_in.training)
            setattr(parent, child, layer)


@contextmanager
def _no_buffers_sent(model: nn.Module) -> Iterator[None]:
    """Keep DDP from sending buffers before a forward pass: plain layers may have none, and it cannot send none."""
    senders = [module for module in model.modules() if isinstance(module, nn.parallel.DistributedDataParallel)]
    before = [sender.broadcast_buffers for sender in senders]
    for sender in senders:
        sender.broadcast_buffers = False
    try:
        yield
    finally:
        for sender, sends in zip(senders, before, strict=True):
            sender.broadcast_buffers = sends


def _replace(model: nn.Module, by: Callable[[str, Adapted], nn.Module]) -> list[tuple[nn.Module, str, Adapted]]:
    """Put by(name, layer) in every place that holds an adapted layer; return what was where."""
    places = [
        (parent, child, layer)
        for parent in model.modules()
        for child, layer in parent._modules.items()
        if isinstance(layer, Adapted)
    ]
    if not places:
        raise ValueError("this model has no adapted layer: call inject first")
    refuse_compiled_alone((parent, child) for parent, child, _ in places)
    # All are built before the first is put: what fails leaves the model as it was.
    replacements = {id(layer): by(name, layer) for name, layer in adapted(model).items()}
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
