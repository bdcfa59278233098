"""Training: one explicit loop."""

import time
from collections.abc import Callable, Iterable
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
    """Return the mean of −log p(y|x) in nats. Works for a class per image and for a token per position."""
    x, y = batch
    logits = model(x)
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
    checkpoint: Path | None = None,
    on_step: Callable[[int, float], bool | None] | None = None,
    progress: bool = True,
) -> History:
    """Train whatever in `model` requires grad, with the optimiser and the step rule of its recipe.

    Args:
        batches: pairs (inputs, targets); must hold steps · accumulate of them.
        schedule: factor on every step size, as a function of (step, steps).
        accumulate: batches per optimiser step; their gradients are averaged.
        clip: largest allowed norm of the whole gradient.
        autocast: compute the forward pass in this dtype (torch.bfloat16); weights keep theirs.
        checkpoint: file that is written after the run and when it is interrupted; if it is there, the run goes on
            from it, on the batches that come next.
        on_step: called with (step, loss) after each step; return True to stop.

    Raises:
        Diverged: the loss or a gradient is not finite. The parameters are those before the bad step.
        ValueError: nothing trains, a number is out of range, or `batches` ran out.
        TypeError: what `batches` gives are no pairs.
    """
    refuse_unless_whole("steps", steps)
    refuse_unless_whole("accumulate", accumulate, 1, ", the batches of one step")
    if checkpoint is not None:
        refuse_shards_in_checkpoint(model)
    optimizer = optimizer_of(model, lr)
    note_trained(model)
    history, rule, rates = History(), _rule(model, steps), [group["lr"] for group in optimizer.param_groups]
    if checkpoint is not None and checkpoint.exists():
        history.losses = load_run(checkpoint, model, optimizer, rule)
    stream = islice(iter(batches), history.steps * accumulate, None)
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
