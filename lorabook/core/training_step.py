"""One optimiser step (forward and backward over the batches that it takes, clip, rule, step), and one after another."""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from lorabook.core.batch import Batch, pair_of, refuse_without_targets
from lorabook.core.reached import refuse_unreachable, tell_unreached
from lorabook.core.step_rule import StepRule
from lorabook.core.taken_back import Before


class Diverged(ArithmeticError):
    """The loss, a gradient or what the optimiser wrote is no finite number: the step was not taken, or taken back.

    Parameters are those before the bad step. Running statistics (of a BatchNorm) have seen its batch, and the state of
    the optimiser has seen the step if it is the optimiser that wrote what is no number.
    """


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
        Diverged: the loss, the gradient or what the optimiser wrote is not finite; no parameter has moved.
        ValueError: `stream` ran out, or gave a batch with nothing to learn.
        TypeError: it gives no pairs, or the loss is no single number.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    device = trained[0].device
    optimizer.zero_grad(set_to_none=True)
    total = 0.0
    for _ in range(accumulate):
        batch = next(stream, None)
        if batch is None:
            raise ValueError(f"the batches ran out at step {step}: pass an endless iterator, or fewer steps")
        batch = pair_of(batch, step, device)
        with torch.autocast(device.type, autocast, enabled=autocast is not None):
            value = _loss_of(model, batch, step, loss)
        total += value.item() / accumulate
        if not math.isfinite(total):
            refuse_without_targets(batch, step)
            raise Diverged(f"the loss is {total} {_advice(model, step, optimizer)}")
        refuse_unreachable(value, step)
        penalty = 0.0 if rule is None else rule.penalty()
        ((value + penalty) / accumulate).backward()
    norm = torch.nn.utils.clip_grad_norm_(trained, math.inf if clip is None else clip)
    if not norm.isfinite():
        raise Diverged(f"the gradient norm is {norm.item()} {_advice(model, step, optimizer)}")
    if rule is not None:
        rule.before_step(step)
    # A rule may have changed the gradients since they were looked at.
    before = Before(trained, optimizer, finite_gradients=rule is None)
    optimizer.step()
    spoilt = before.take_back_if_spoilt()
    if spoilt is not None:
        name = next(name for name, p in model.named_parameters() if p is spoilt)
        raise Diverged(f"what the optimiser wrote into {name} is no number {_advice(model, step, optimizer)}")
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
            group["lr"] = rate * _factor(schedule, step, steps)
        value = take_step(
            model, optimizer, stream, step, loss, rule=rule, accumulate=accumulate, clip=clip, autocast=autocast
        )
        if step == first:
            tell_unreached(model, step)
        yield value


def _loss_of(model: nn.Module, batch: Batch, step: int, loss: Callable[[nn.Module, Batch], Tensor]) -> Tensor:
    try:
        value = loss(model, batch)
    except Exception:
        refuse_without_targets(batch, step)  # what fails on a batch of nothing is told as that
        raise
    if not isinstance(value, Tensor) or value.numel() != 1:
        what = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
        raise TypeError(
            f"the loss of step {step} has come out as {what}, and must be a tensor of one number: return its mean, "
            "value.mean()"
        )
    return value


def _factor(schedule: Callable[[int, int], float], step: int, steps: int) -> float:
    factor = schedule(step, steps)
    if not 0 <= factor < math.inf:
        raise ValueError(
            f"schedule({step}, {steps}) is {factor!r}; it is a factor on every step size, a finite number ≥ 0, as "
            "schedule=warmup_cosine gives"
        )
    return factor


def _advice(model: nn.Module, step: int, optimizer: torch.optim.Optimizer) -> str:
    lr = optimizer.param_groups[0]["lr"]
    return f"at step {step} with lr = {lr:.2g}; the step was not taken. {_cure(model)}"


def _cure(model: nn.Module) -> str:
    held = [*model.named_parameters(), *model.named_buffers()]
    for name, numbers in held:
        # NaN, and not infinity, which an attention mask may well hold.
        if numbers.is_floating_point() and numbers.isnan().any():
            layer = name.replace(".base.store.w0", ".weight")
            return f"{layer} has NaN entries: load the model again, or repair that tensor"
    if any(p.dtype == torch.float16 for p in model.parameters() if p.requires_grad):
        return (
            "What trains is float16, where Adam's ε = 1e-8 is 0, and 0/0 is NaN at any rate: train in bfloat16 or "
            "float32 (model.float())"
        )
    cure = "Lower lr or alpha, warm up (schedule=warmup_cosine), or clip gradients (clip=1.0)"
    if any(numbers.dtype == torch.float16 for _, numbers in held):
        cure += ". The base is float16, in which no number is above 65504: model.bfloat16() has float32's range"
    return cure
