"""All or nothing: a model that keeps everything when a change of it fails half-way."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def as_it_was_if_this_fails(model: nn.Module, generator: torch.Generator | None = None) -> Iterator[None]:
    """Put back what every module holds, every requires_grad, and where `generator` was, when the block raises.

    Numbers that the block writes into parameters are not its affair.
    """
    before = [(module, dict(vars(module)), dict(module._modules)) for module in model.modules()]
    trained = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    drawn = None if generator is None else generator.get_state()
    try:
        yield
    except BaseException:
        for module, attributes, children in before:
            vars(module).clear()
            vars(module).update(attributes)
            module._modules.clear()
            module._modules.update(children)
        for parameter, trains in trained:
            parameter.requires_grad_(trains)
        if generator is not None:
            generator.set_state(drawn)
        raise
