"""The state of a run on disk, so that it can go on where it stopped."""

import os
from pathlib import Path

import torch
from torch import nn

from lorabook.rank.step_rule import StepRule


def store(
    path: Path, model: nn.Module, steppers: torch.optim.Optimizer, rule: StepRule | None, losses: list[float]
) -> None:
    """Write what trains, the states of optimiser and step rule, and the losses; the file is replaced whole or not."""
    trained = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    partial = path.with_name(path.name + ".partial")
    acted = None if rule is None else rule.state_dict()
    torch.save({"trained": trained, "optimizer": steppers.state_dict(), "rule": acted, "losses": losses}, partial)
    os.replace(partial, path)


def restore(path: Path, model: nn.Module, steppers: torch.optim.Optimizer, rule: StepRule | None) -> list[float]:
    """Load a run into model, optimiser and step rule; return its losses so far.

    Raises:
        ValueError: the file was written for a model with other trained parameters.
    """
    # weights_only: tensors, numbers and containers are read; no code can run.
    state = torch.load(path, weights_only=True)
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    saved = state["trained"]
    odd = sorted(set(saved) ^ set(named)) or [n for n, p in named.items() if p.shape != saved[n].shape]
    if odd:
        raise ValueError(
            f"{path} belongs to another run: {odd[0]} differs from this model; delete it or give another path"
        )
    with torch.no_grad():
        for name, parameter in named.items():
            parameter.copy_(saved[name])
    steppers.load_state_dict(state["optimizer"])
    if rule is not None:
        rule.load_state_dict(state["rule"])
    return state["losses"]
