"""Making a tensor again in the backward pass instead of keeping what lies on the way to it."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp, vjp
from torch.utils.checkpoint import checkpoint

from lorabook.core.transforms import in_func


def rebuilt(make: Callable[..., Tensor], *inputs: Tensor | None, reads: Sequence[nn.Module] = ()) -> Tensor:
    """Return make(*inputs), of which backward keeps the inputs and the result: what lies between is made again.

    Give what is as large as the activations: what `make` only closes over is held as well, and no count sees it.

    Args:
        reads: the modules whose parameters and buffers `make` reads; torch.func must be told of every tensor.
    """
    # No checkpoint can be exported, nor compiled inside a transform; what a compiler keeps it decides by itself then.
    if torch.compiler.is_exporting() or (torch.compiler.is_compiling() and in_func()):
        return make(*inputs)
    if in_func():
        return _rebuilt_in_func(make, inputs, reads)
    return checkpoint(make, *inputs, use_reentrant=False, preserve_rng_state=False)


def _rebuilt_in_func(make: Callable[..., Tensor], inputs: tuple[Tensor | None, ...], reads: Sequence[nn.Module]):
    """Do the same where torch.func differentiates, which takes no hooks, and so no checkpoint."""
    reading = _Reading(make, reads)
    held = dict(reading.named_parameters()) | dict(reading.named_buffers())

    def pure(*values: Tensor | None) -> Tensor:
        return functional_call(reading, dict(zip(held, values[len(inputs) :], strict=True)), values[: len(inputs)])

    return _Rebuilt.apply(pure, *inputs, *held.values())


class _Reading(nn.Module):
    """A function, and the modules it reads, so that their tensors can be given to it."""

    def __init__(self, make: Callable[..., Tensor], reads: Sequence[nn.Module]) -> None:
        super().__init__()
        self.make, self.reads = make, nn.ModuleList(reads)

    def forward(self, *inputs: Tensor | None) -> Tensor:
        return self.make(*inputs)


class _Rebuilt(torch.autograd.Function):
    """make(*inputs), whose inputs alone are kept."""

    generate_vmap_rule = True

    @staticmethod
    def forward(make: Callable[..., Tensor], *inputs: Tensor | None) -> Tensor:
        return make(*inputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        ctx.make, *given = inputs
        ctx.save_for_backward(*given)
        ctx.save_for_forward(*given)
        device = output.device.type
        ctx.autocast = (device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        given = list(ctx.saved_tensors)
        wanted = [i for i, needed in enumerate(ctx.needs_input_grad[1:]) if needed]
        with torch.autocast(*ctx.autocast):
            _, pull = vjp(_of(ctx.make, given, wanted), *(given[i] for i in wanted))
        gradients: list[Tensor | None] = [None] * len(given)
        for i, part in zip(wanted, pull(gradient), strict=True):
            gradients[i] = part
        return None, *gradients

    @staticmethod
    def jvp(ctx: Any, _: None, *tangents: Tensor | None) -> Tensor:
        given = list(ctx.saved_tensors)
        moved = [i for i, tangent in enumerate(tangents) if tangent is not None]
        at, along = (tuple(values[i] for i in moved) for values in (given, tangents))
        with torch.autocast(*ctx.autocast):
            return jvp(_of(ctx.make, given, moved), at, along)[1]


def _of(make: Callable[..., Tensor], given: list[Tensor | None], which: list[int]) -> Callable[..., Tensor]:
    """Return `make` as a function of some of its inputs."""

    def function(*values: Tensor) -> Tensor:
        whole = list(given)
        for i, value in zip(which, values, strict=True):
            whole[i] = value
        return make(*whole)

    return function
