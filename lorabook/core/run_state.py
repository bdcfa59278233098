"""The state of a run on disk, so that it can go on where it stopped."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lorabook.core.adapted_layer import adapted
from lorabook.core.beside import beside, outside
from lorabook.core.shards import refuse_shards, reshard
from lorabook.core.step_rule import StepRule
from lorabook.core.whole_file import replace_whole


def save_run(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, rule: StepRule | None, losses: list[float]
) -> None:
    """Write what a run may change (see `_numbers`), the states of optimiser and step rule, and the losses.

    The file is replaced whole or not at all.
    """
    trained = {name: tensor.detach() for name, tensor in _numbers(model).items()}
    acted = None if rule is None else rule.state_dict()
    save_whole({"trained": trained, "optimizer": optimizer.state_dict(), "rule": acted, "losses": losses}, path)


def refuse_shards_in_checkpoint(model: nn.Module) -> None:
    """Refuse a checkpoint of a run on shards before it begins: the optimiser's state is in shards too.

    Raises:
        ValueError: naming a shard.
    """
    reshard(model)
    instead = "leave checkpoint out and save with torch.distributed.checkpoint; save_adapter writes the adapter whole"
    refuse_shards(model.named_parameters(), "fit's checkpoint holds no shards", instead)


def save_whole(state: dict[str, Any], path: Path) -> None:
    """Write a state with torch.save, whole or not at all."""
    replace_whole(path, lambda partial: torch.save(state, partial))


def load_run(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, rule: StepRule | None) -> list[float]:
    """Load a run into model, optimiser and step rule; return its losses so far.

    Raises:
        ValueError: the file was written for a model with other trained parameters.
    """
    # weights_only: tensors, numbers and containers are read; no code can run.
    state = torch.load(path, weights_only=True)
    named = _numbers(model)
    saved = state["trained"]
    odd = sorted(set(saved) ^ set(named)) or [n for n, p in named.items() if p.shape != saved[n].shape]
    if odd:
        raise ValueError(
            f"{path} belongs to another run: {odd[0]} differs from this model; delete it or give another path"
        )
    with torch.no_grad():
        for name, parameter in named.items():
            parameter.copy_(saved[name])
    optimizer.load_state_dict(state["optimizer"])
    if rule is not None:
        rule.load_state_dict(state["rule"])
    return state["losses"]


def _numbers(model: nn.Module) -> dict[str, Tensor]:
    """Return all that a run may change, by plain name: what trains, the adapters whole, and every buffer beside them.

    B without the frozen A that it was trained beside means nothing, nor does a norm without its running statistics.
    """
    known = beside(model)
    numbers: dict[str, Tensor] = {}
    for names, tensor, _ in outside(model):
        trains = tensor.requires_grad or (names[0] in known and known[names[0]].trains)
        if trains or not isinstance(tensor, nn.Parameter):
            numbers[names[0]] = tensor
    for name, layer in adapted(model).items():
        numbers |= {f"{name}.update.{key}".removeprefix("."): tensor for key, tensor in layer.update.kept().items()}
    return numbers
