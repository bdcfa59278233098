"""One optimiser step (forward and backward over the batches that it takes, clip, rule, step), and one after another."""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from lorabook.core.step_rule import StepRule

Batch = tuple[Tensor, Tensor]
"""Inputs and targets."""


class Diverged(ArithmeticError):
    """The loss or a gradient stopped being a finite number; the step that would have used it was not taken."""


def take_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    stream: Iterator[Batch],
    step: int,
    loss: Callable[[nn.Module, Batch], Tensor],
    *,
    rule: StepRule | None = None,
    accumulate: int = 1,
    clip: float | None = None,
    autocast: torch.dtype | None = None,
) -> float:
    """Take one optimiser step over everything in the model that trains, and return its loss.

    Args:
        step: its number, from 0; for the rule, and for messages.
        rule, accumulate, clip, autocast: as `fit` takes them.

    Raises:
        Diverged: the loss or the gradient is not finite; nothing has moved.
        ValueError: `stream` ran out. TypeError: it gives no pairs.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    device = trained[0].device
    optimizer.zero_grad(set_to_none=True)
    total = 0.0
    for _ in range(accumulate):
        batch = next(stream, None)
        if batch is None:
            raise ValueError(f"the batches ran out at step {step}: pass an endless iterator, or fewer steps")
        if isinstance(batch, Tensor):
            raise TypeError(
                f"batches gave a tensor of shape {tuple(batch.shape)} at step {step}, and each batch must be a pair "
                "(inputs, targets): for one pair again and again, give itertools.repeat((inputs, targets))"
            )
        batch = (batch[0].to(device), batch[1].to(device))
        with torch.autocast(device.type, autocast, enabled=autocast is not None):
            value = loss(model, batch)
        total += value.item() / accumulate
        if not math.isfinite(total):
            raise Diverged(_advice("loss", total, step, optimizer))
        penalty = 0.0 if rule is None else rule.penalty()
        ((value + penalty) / accumulate).backward()
    norm = torch.nn.utils.clip_grad_norm_(trained, math.inf if clip is None else clip)
    if not norm.isfinite():
        raise Diverged(_advice("gradient norm", norm.item(), step, optimizer))
    if rule is not None:
        rule.before_step(step)
    optimizer.step()
    if rule is not None:
        rule.after_step(step)
    return total


def take_steps(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    stream: Iterator[Batch],
    first: int,
    steps: int,
    loss: Callable[[nn.Module, Batch], Tensor],
    *,
    rates: Sequence[float],
    schedule: Callable[[int, int], float],
    rule: StepRule | None = None,
    accumulate: int = 1,
    clip: float | None = None,
    autocast: torch.dtype | None = None,
) -> Iterator[float]:
    """Take the steps `first` … `steps` − 1 as they are asked for, and give the loss of each.

    Args:
        rates: the step size of each of the optimiser's groups; a step multiplies it by schedule(step, steps).
        rule, accumulate, clip, autocast: as `fit` takes them.

    Raises:
        Diverged, ValueError, TypeError: as `take_step`.
    """
    for step in range(first, steps):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * schedule(step, steps)
        yield take_step(
            model, optimizer, stream, step, loss, rule=rule, accumulate=accumulate, clip=clip, autocast=autocast
        )


def _advice(what: str, value: float, step: int, optimizer: torch.optim.Optimizer) -> str:
    lr = optimizer.param_groups[0]["lr"]
    in_half = any(p.dtype == torch.float16 for group in optimizer.param_groups for p in group["params"])
    cure = (
        "What trains is float16, where Adam's ε = 1e-8 is 0, and 0/0 is NaN at any rate: train in bfloat16 or float32"
        if in_half
        else "Lower lr or alpha, warm up (schedule=warmup_cosine), or clip gradients (clip=1.0)"
    )
    return f"the {what} is {value} at step {step} with lr = {lr:.2g}; the step was not taken. {cure}"
