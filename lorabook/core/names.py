"""A wrapper is not a name: modules and tensors under the names that the plain model gives them, every one they have.

torch.compile, DataParallel, AveragedModel, DDP and checkpointing put a module around the model, or around a part of it,
and a prefix before every name. What is adapted, saved and read goes by the plain model's names. One tensor or module
may have several: a tied head, a block that is used twice. The first in the model's order stands for all of them.
"""

import sys
from collections.abc import Iterable, Iterator
from functools import cache

import torch
from torch import Tensor, nn

from lorabook.core.shards import is_shard

_HOLD_IN = {
    nn.DataParallel: "module",
    nn.parallel.DistributedDataParallel: "module",
    torch.optim.swa_utils.AveragedModel: "module",
}
"""Wrappers that torch has imported itself, and the attribute in which each holds what it wraps."""

_HOLD_IN_LATE = (
    ("torch._dynamo.eval_frame", "OptimizedModule", "_orig_mod"),
    ("torch.distributed.algorithms._checkpoint.checkpoint_wrapper", "ActivationWrapper", "_checkpoint_wrapped_module"),
    ("torch.distributed.fsdp.fully_sharded_data_parallel", "FullyShardedDataParallel", "_fsdp_wrapped_module"),
)
"""Wrappers of modules that are slow to import: imported already, if the model uses one."""

Place = tuple[nn.Module, str]
"""A module and the name in it of what it holds."""


def wrapped_in(module: nn.Module) -> str | None:
    """Return the name in a wrapper of what it wraps; None for a module that is no wrapper."""
    return _held_in(type(module))


@cache
def _held_in(kind: type) -> str | None:
    # A class that is asked about exists, and so does every class that it comes from: the answer stays.
    for wrapper, attribute in _HOLD_IN.items():
        if issubclass(kind, wrapper):
            return attribute
    for where, name, attribute in _HOLD_IN_LATE:
        if where in sys.modules and issubclass(kind, getattr(sys.modules[where], name)):
            return attribute
    return None


def refuse_compiled_alone(places: Iterable[Place]) -> None:
    """Refuse to replace what torch.compile has wrapped itself: it goes on calling what it compiled.

    Raises:
        ValueError: one of the places is such a wrapper.
    """
    for holder, _ in places:
        if wrapped_in(holder) == "_orig_mod":
            raise ValueError(
                f"a {type(unwrapped(holder)).__name__} was compiled on its own (torch.compile around one layer), and "
                "would go on as compiled if it were replaced: take the wrapper off, and compile the whole model"
            )


def unwrapped(module: nn.Module) -> nn.Module:
    """Return what stands inside all wrappers around a module."""
    while (attribute := wrapped_in(module)) is not None:
        module = getattr(module, attribute)
    return module


def named_modules(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield every module under every plain name it has, in the model's order; wrappers themselves have none."""
    for route, module in _routes(model, ()):
        yield ".".join(name for _, name in route), module


def named_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield every parameter and every buffer that a state_dict holds, under every plain name it has."""
    for name, module in named_modules(model):
        for own, tensor in own_tensors(module):
            yield f"{name}.{own}".removeprefix("."), tensor


def own_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the parameters and the buffers of a module's own that a state_dict holds."""
    yield from ((name, tensor) for name, tensor in module._parameters.items() if tensor is not None)
    for name, tensor in module._buffers.items():
        if tensor is not None and name not in module._non_persistent_buffers_set:
            yield name, tensor


def first_names(model: nn.Module) -> dict[str, str]:
    """Return, for every name of every module and tensor, the first name of the same module or tensor."""
    first: dict[int, str] = {}
    parts = [*named_modules(model), *named_tensors(model)]
    return {name: first.setdefault(id(part), name) for name, part in parts}


def route(model: nn.Module, name: str) -> tuple[Place, ...]:
    """Return the places that one passes on the way to the module or tensor of a plain name.

    Raises:
        KeyError: the model has no such name.
    """
    passed, module = [], unwrapped(model)
    for part in name.split("."):
        passed.append((module, part))
        if part in module._modules:
            module = unwrapped(module._modules[part])
        elif part not in module._parameters and part not in module._buffers:
            raise KeyError(name)
    return tuple(passed)


def module_at(model: nn.Module, name: str) -> nn.Module:
    """Return the module of a plain name.

    Raises:
        KeyError: the model has none.
    """
    module = unwrapped(model)
    for part in name.split(".") if name else ():
        module = unwrapped(module._modules[part])
    return module


def _routes(module: nn.Module, passed: tuple[Place, ...]) -> Iterator[tuple[tuple[Place, ...], nn.Module]]:
    module = unwrapped(module)
    yield passed, module
    for name, child in module._modules.items():
        here = (*passed, (module, name))
        # A module that holds itself, or one of its parents, has no end of names.
        if child is not None and all(unwrapped(child) is not parent for parent, _ in here):
            yield from _routes(child, here)


def tied(model: nn.Module, tensor: Tensor) -> list[str]:
    """Return every plain name under which the model holds this tensor, or another that shares numbers with it."""
    return [name for name, other in named_tensors(model) if share_memory(tensor, other)]


def share_memory(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are one, or have numbers in common: writing to one of them would change the other."""
    if one is other:
        return True
    (start, end), (first, last) = _extent(one), _extent(other)
    return one.device == other.device and max(start, first) < min(end, last)


def _extent(tensor: Tensor) -> tuple[int, int]:
    """Return the first address of a tensor's numbers and the one after the last; nothing on the meta device."""
    local = tensor.to_local() if is_shard(tensor) else tensor
    if local.device.type == "meta" or not local.numel():
        return 0, 0
    span = 1 + sum((size - 1) * stride for size, stride in zip(local.shape, local.stride(), strict=True))
    return local.data_ptr(), local.data_ptr() + span * local.element_size()
