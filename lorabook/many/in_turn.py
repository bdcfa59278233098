"""Tasks learned one after the other, each with an adapter of its own."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import nn

from lorabook.core.adapted_layer import adapted
from lorabook.core.inject import inject
from lorabook.core.lora import ORIGIN
from lorabook.core.merge import merge
from lorabook.core.recipe import Recipe, refuse_other
from lorabook.core.targets import Target, find_targets, refuse_large_rank
from lorabook.many.orthogonal import KeepApart
from lorabook.many.pair import Pair, pairs_of
from lorabook.many.row_space import capacity


def learn_in_turn(
    model: nn.Module,
    tasks: Sequence[Callable[[nn.Module], object]],
    recipe: Recipe,
    targets: str,
    generator: torch.Generator | None = None,
) -> list[dict[str, Pair]]:
    """Learn the tasks one after the other, and return their adapters; the model ends plain, with all of them in it.

        W = W₀ + s·Σ_{i≤t} B_iA_i

    Task t trains (B_t, A_t) alone. The earlier ones are frozen: each is merged before the next begins, which computes
    the same function and keeps the cost of a step that of one adapter. With `OrthogonalLoRA` every A_t is kept apart
    from the earlier ones; with `LoRA` nothing keeps it. If a task raises, the model holds its adapter as it stands, on
    top of the tasks before.

    Args:
        tasks: each trains the model it is given: `lambda model: lb.fit(model, batches, steps=200, lr=1e-2)`.
        generator: source of randomness for every A; seed 0 on the CPU if None.

    Raises:
        ValueError: no task, a model that has adapters already, a recipe whose update is not s·BA or whose base is
            quantised, or more tasks than some layer has room for. Nothing has changed then.
        TypeError: a task that is no function, or what is no recipe. Nothing has changed then either.
    """
    if not tasks:
        raise ValueError("there is no task to learn: give at least one function that trains the model")
    if adapted(model):
        raise ValueError(f"{next(iter(adapted(model)))} has an adapter already: merge(model) before tasks in turn")
    odd = [task for task in tasks if not callable(task)]
    if odd:
        raise TypeError(
            f"a task is a {type(odd[0]).__name__}; give a function that trains the model it is given: "
            "lambda model: fit(model, batches, steps=200, lr=1e-2)"
        )
    refuse_other(recipe)
    wanted = recipe.complete(ORIGIN)
    if wanted.form != ORIGIN.form:
        raise ValueError(f"{recipe.label} has no update s·BA, which is what a task leaves behind: use LoRA or O-LoRA")
    if wanted.base != ORIGIN.base:
        raise ValueError(
            f"{recipe.label} stores W₀ in fewer bits, and merging a task into it would round W₀ once for every task: "
            "learn tasks in turn on a dense base"
        )
    chosen = find_targets(model, targets, wanted)
    refuse_large_rank(chosen, wanted)
    if isinstance(wanted.rule, KeepApart):
        _refuse_what_cannot_stay_apart(chosen, wanted, len(tasks))
    generator = generator or torch.Generator().manual_seed(0)
    learned: list[dict[str, Pair]] = []
    for task in tasks:
        inject(model, _knowing(wanted, learned), targets, generator)
        task(model)
        learned.append(pairs_of(model))
        merge(model)
    return learned


def _knowing(recipe: Recipe, learned: list[dict[str, Pair]]) -> Recipe:
    """Return the recipe of the next task: O-LoRA is told what was learned since."""
    if not isinstance(recipe.rule, KeepApart):
        return recipe
    return replace(recipe, rule=replace(recipe.rule, earlier=(*recipe.rule.earlier, *learned)))


def _refuse_what_cannot_stay_apart(chosen: list[Target], recipe: Recipe, tasks: int) -> None:
    if recipe.init.takes_from_w0:
        raise ValueError(
            f"{recipe.label}: an adapter that starts inside W₀ cannot be kept apart from earlier ones without changing "
            "the model it starts as; use O-LoRA with LoRA's own start"
        )
    for target in chosen:
        d_in = target.base.store.shape[1]
        earlier = sum(len(state[target.name].A) for state in recipe.rule.earlier if target.name in state)
        room = capacity(max(0, d_in - earlier), recipe.r)
        if tasks > room:
            raise ValueError(
                f"{tasks} tasks of rank {recipe.r} do not fit into {target.name}: it has d_in = {d_in} input "
                f"directions{f', {earlier} of them taken,' if earlier else ''} and so room for {room}. Lower r, or "
                "learn fewer tasks"
            )
