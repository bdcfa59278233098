"""Equal parameters: the size of each contender that trains a number nearest to LoRA's at r = 8 on the same layers."""

import copy
from functools import cache
from typing import Any

import torch

from lorabook.arena.method import Method
from lorabook.arena.methods import BASELINE, BASELINE_RANK, METHODS
from lorabook.arena.task import Task
from lorabook.arena.tasks import EXPERIMENT_TASKS, TASKS
from lorabook.arena.variations import VARIATIONS
from lorabook.core.frozen import UnsupportedLayer
from lorabook.cost.count import trainable

BUDGETS = ("equal", "own")
"""As many numbers as LoRA at r = 8; the size of the contender's own paper."""


def method_named(name: str) -> Method:
    """Return a contender by its name.

    Raises:
        ValueError: there is none; the message names all.
    """
    return _named((*METHODS, *VARIATIONS), "contender", name)


def task_named(name: str) -> Task:
    """Return a task by its name.

    Raises:
        ValueError: there is none; the message names all.
    """
    return _named((*TASKS, *EXPERIMENT_TASKS), "task", name)


def _named(all_of_them: tuple[Any, ...], what: str, name: str) -> Any:
    for one in all_of_them:
        if one.name == name:
            return one
    raise ValueError(f"no {what} is called {name!r}; they are {', '.join(one.name for one in all_of_them)}")


def budgets_of(method: Method) -> tuple[str, ...]:
    """Return the budgets that this contender runs with: its own only if its paper's size differs much."""
    return (("equal",) if method.sizes else ()) + (("own",) if method.own is not None else ())


def size_of(method: Method, task: Task, budget: str) -> int:
    """Return the rank or the width of a contender under a budget.

    Raises:
        ValueError: the budget is unknown or not this contender's, or no size of it can be had on the task's layers.
    """
    if budget not in budgets_of(method):
        raise ValueError(f"{method.name} runs with the budgets {', '.join(budgets_of(method))}; {budget!r} is none")
    return method.own if budget == "own" else _nearest(method.name, task.name)


@cache
def _nearest(method_name: str, task_name: str) -> int:
    """Trained numbers never fall as the size grows, so the two sizes around the goal are found by halving."""
    method, task = method_named(method_name), task_named(task_name)
    goal = count(method_named(BASELINE), task, BASELINE_RANK)
    low, high = method.sizes.start, method.sizes.stop - 1
    smallest = count(method, task, low)
    while low < high:
        middle = (low + high + 1) // 2
        try:
            fits = count(method, task, middle) <= goal
        except ValueError:  # larger than some layer allows
            fits = False
        low, high = (middle, high) if fits else (low, middle - 1)
    if smallest > goal or low == method.sizes.stop - 1:
        return low
    try:
        above = count(method, task, low + 1)
    except ValueError:
        return low
    below = count(method, task, low)
    # Where more size adds no number (LoKr that keeps D whole), the smaller one stands.
    return low if goal - below <= above - goal else low + 1


def count(method: Method, task: Task, size: int) -> int:
    """Return how many numbers train, counted on a model that has been prepared.

    Raises:
        ValueError: the contender cannot be had on these layers at this size.
    """
    model = copy.deepcopy(task.base)
    try:
        method.prepare(model, task.targets, size, torch.Generator().manual_seed(0))
    except UnsupportedLayer as error:
        raise ValueError(str(error)) from error
    return trainable(model)
