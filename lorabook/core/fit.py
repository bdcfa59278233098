"""Training: one explicit loop."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from tqdm.auto import tqdm

from lorabook.core.adapted_layer import adapted
from lorabook.core.beside import note_trained
from lorabook.core.number import refuse_unless_positive
from lorabook.core.optimizer import optimizer as optimizer_of
from lorabook.core.run_state import load_run, refuse_shards_in_checkpoint, save_run
from lorabook.core.schedule import constant
from lorabook.core.step_rule import StepRule
from lorabook.core.training_step import Batch, take_steps
from lorabook.core.whole_number import refuse_unless_whole


@dataclass
class History:
    """What a run did: the training loss of each step (nats), and the seconds they took."""

    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def steps(self) -> int:
        """Optimiser steps taken."""
        return len(self.losses)

    def final(self, over: int = 10) -> float:
        """Return the mean loss of the last `over` steps: one batch alone says little."""
        last = self.losses[-over:]
        return sum(last) / len(last)


def cross_entropy(model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
    """Return the mean of −log p(y|x) in nats over the targets that are not −100.

    Works for a class per image and for a token per position.

    Raises:
        TypeError: the inputs are several, or the model returns no tensor.
    """
    x, y = batch
    if not isinstance(x, Tensor):
        raise TypeError(
            f"the inputs are several, {', '.join(x)}, and cross_entropy knows one: give fit loss=lb.transformers_loss "
            "for a model of transformers, or a loss of your own that calls model(**inputs)"
        )
    logits = model(x)
    if not isinstance(logits, Tensor):
        raise TypeError(
            f"the model returned a {type(logits).__name__}, no tensor of logits: give fit loss=lb.transformers_loss "
            "and dictionaries by lb.transformers_pairs, or a loss of your own that takes the logits out"
        )
    return F.cross_entropy(logits.flatten(0, -2), y.flatten())


def fit(
    model: nn.Module,
    batches: Iterable[Batch],
    *,
    steps: int,
    lr: float,
    loss: Callable[[nn.Module, Batch], Tensor] = cross_entropy,
    schedule: Callable[[int, int], float] = constant,
    accumulate: int = 1,
    clip: float | None = None,
    autocast: torch.dtype | None = None,
    checkpoint: Path | str | None = None,
    on_step: Callable[[int, float], bool | None] | None = None,
    progress: bool = True,
) -> History:
    """Train whatever in `model` requires grad, with the optimiser and the step rule of its recipe.

    Args:
        batches: pairs (inputs, targets) of tensors, or of tensors by name for a loss that knows the names; must hold
            steps · accumulate of them. For dictionaries of transformers: `transformers_pairs`, `transformers_loss`.
        loss: of one batch, a mean over what counts in it.
        schedule: factor ≥ 0 on every step size, as a function of (step, steps).
        accumulate: batches per optimiser step. Their gradients are averaged, each batch alike: if one has fewer targets
            that count, each of them weighs more than in one large batch. Where it should not, give a loss that divides
            the sum over targets by a fixed number instead of their own.
        clip: largest allowed norm of the whole gradient, > 0; the step is taken with the clipped one.
        autocast: compute the forward pass in this dtype (torch.bfloat16); weights keep theirs.
        checkpoint: file that is written after the run and when it is interrupted; if it is there, the run goes on
            from it, on the batches that come next.
        on_step: called with (step, loss) after each step; return True to stop.

    Raises:
        Diverged: the loss, a gradient or what the optimiser wrote is not finite. The parameters are those before the
            bad step; running statistics have seen its batch.
        ValueError: nothing trains, a number is out of range, `batches` ran out, or no adapter got a gradient in the
            first step. If some got none, a warning names them.
            A batch with nothing to learn (it is empty, or all targets are −100) is refused by that.
        TypeError: what `batches` gives are no pairs, or the loss is no single number.
    """
    refuse_unless_whole("steps", steps)
    refuse_unless_whole("accumulate", accumulate, 1, ", the batches of one step")
    if clip is not None:
        refuse_unless_positive("clip", clip, "; None does not clip")
    if autocast is not None and not (isinstance(autocast, torch.dtype) and autocast.is_floating_point):
        raise ValueError(f"autocast is {autocast!r}; it must be a dtype to compute in, such as torch.bfloat16, or None")
    checkpoint = None if checkpoint is None else Path(checkpoint)
    if checkpoint is not None:
        refuse_shards_in_checkpoint(model)
    optimizer = optimizer_of(model, lr)
    note_trained(model)
    history, rule, rates = History(), _rule(model, steps), [group["lr"] for group in optimizer.param_groups]
    if checkpoint is not None and checkpoint.exists():
        history.losses = load_run(checkpoint, model, optimizer, rule)
    stream = islice(_iterated(batches), history.steps * accumulate, None)
    model.train()
    began = time.perf_counter()
    bar = tqdm(total=steps, initial=history.steps, desc="training", unit="step", disable=not progress, leave=False)
    losses = take_steps(
        model, optimizer, stream, history.steps, steps, loss, rates=rates, schedule=schedule, rule=rule,
        accumulate=accumulate, clip=clip, autocast=autocast,
    )  # fmt: skip
    try:
        for value in losses:
            history.losses.append(value)
            bar.update()
            bar.set_postfix_str(f"loss {value:.3f}", refresh=False)
            if on_step is not None and on_step(history.steps - 1, value):
                break
    finally:
        bar.close()
        history.seconds = time.perf_counter() - began
        model.eval()
        if checkpoint is not None:
            save_run(checkpoint, model, optimizer, rule, history.losses)
        if rule is not None:
            rule.end()
    return history


def _iterated(batches: Iterable[Batch]) -> Iterator[Batch]:
    if not isinstance(batches, Iterable):
        raise TypeError(
            f"batches is a {type(batches).__name__}, which cannot be gone through: give a list of pairs, a DataLoader "
            "or a generator, e.g. itertools.repeat((inputs, targets))"
        )
    return iter(batches)


def _rule(model: nn.Module, steps: int) -> StepRule | None:
    """Build the step rule of the model's recipe, if it has one, for a run of this many steps."""
    rules = {layer.recipe.rule for layer in adapted(model).values() if layer.recipe.rule is not None}
    if len(rules) > 1:
        raise ValueError(f"the adapted layers ask for {len(rules)} different step rules: inject them with one recipe")
    if not rules:
        return None
    rule = rules.pop().build(model)
    rule.begin(steps)
    return rule
