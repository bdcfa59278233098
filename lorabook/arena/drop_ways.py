"""Who keeps an adapter after LoRA's brief training, with as many trained numbers as LoRA-drop has: four ways.

By effect is LoRA-drop. By size of ΔW and by chance choose others, and their rest shares too. In the last way nobody
shares: what sharing costs goes to further layers, and the rest has no adapter. A layer is one of the 28 matrices.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice

import torch
from torch import Tensor, nn

from lorabook.arena.method import Training, train_once
from lorabook.arena.tasks import KJV
from lorabook.axes.rule.lora_drop import importance, important, share_the_rest
from lorabook.core.adapted_layer import Adapted, adapted
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.modes import evaluating
from lorabook.core.training_step import Batch

R, ALPHA = 8, 16
BRIEF, SAMPLE = 12, 4
"""Steps of the first phase, a fifth of all, and batches on which the effect is measured after it: as in the arena."""
BRIEF_RATE = 8e-3
EFFECT, SIZE, CHANCE, ALONE = "by effect", "by size of ΔW", "by chance", "by effect, nobody shares"
WAYS = (EFFECT, SIZE, CHANCE, ALONE)


@dataclass(frozen=True)
class Brief:
    """A model after the first phase, each layer's share of E‖ΔWx‖² and of ‖ΔW‖², and the numbers of its adapter."""

    model: nn.Module
    effect: dict[str, float]
    size: dict[str, float]
    shapes: dict[str, tuple[int, int]]

    def trained(self, kept: Sequence[str], sharing: bool) -> int:
        """Return how many numbers train if these layers keep theirs, and the rest shares one for each shape or none."""
        rest = {shape for name, shape in self.shapes.items() if name not in kept} if sharing else set()
        return R * sum(map(sum, [*(self.shapes[name] for name in kept), *rest]))


@cache
def brief(seed: int) -> Brief:
    """Train LoRA everywhere for a few steps, and measure."""
    model = copy.deepcopy(KJV.base)
    inject(model, LoRA(R, ALPHA), KJV.targets, torch.Generator().manual_seed(seed))
    torch.manual_seed(seed)
    stream = KJV.stream(seed)
    train_once(model, Training(stream, BRIEF, BRIEF_RATE, KJV.loss, lambda _step, _loss: None))
    layers = adapted(model)
    effect = importance(model, sample(seed))
    size = {name: float((layer.update.B @ layer.update.A).detach().square().sum()) for name, layer in layers.items()}
    whole = sum(size.values())
    shapes = {name: tuple(layer.base.store.shape) for name, layer in layers.items()}
    return Brief(model, effect, {name: each / whole for name, each in size.items()}, shapes)


def chosen(way: str, t: float, found: Brief, seed: int) -> list[str]:
    """Return the layers that keep their adapter: LoRA-drop's at T = t, or as many as train a number nearest to its."""
    lora_drop = important(found.effect, t)
    if way == EFFECT:
        return lora_drop
    names = list(found.effect)
    by = {
        SIZE: lambda: sorted(names, key=found.size.__getitem__, reverse=True),
        CHANCE: lambda: [names[i] for i in torch.randperm(len(names), generator=torch.Generator().manual_seed(seed))],
        ALONE: lambda: important(found.effect, 1.0),
    }
    order, goal = by[way](), found.trained(lora_drop, sharing=True)
    many = min(range(len(order) + 1), key=lambda n: abs(found.trained(order[:n], way != ALONE) - goal))
    return order[:many]


def second_phase(way: str, t: float, lr: float, seed: int) -> tuple[nn.Module, list[str]]:
    """Give the rest what the way gives it, and train on; return the model, and who keeps.

    Raises:
        Diverged: a loss is no number any more.
    """
    found = brief(seed)
    model, kept = copy.deepcopy(found.model), chosen(way, t, found, seed)
    if way == ALONE:
        _without_adapters([layer for name, layer in adapted(model).items() if name not in kept])
    else:
        share_the_rest(model, kept)
    train_once(model, Training(rest_of(seed), KJV.steps - BRIEF, lr, KJV.loss, lambda _step, _loss: None))
    return model, kept


def rest_of(seed: int) -> Iterator[Batch]:
    """Yield the batches after those of the first phase and its sample."""
    return islice(KJV.stream(seed), BRIEF + SAMPLE, None)


@torch.no_grad()
def _without_adapters(layers: Sequence[Adapted]) -> None:
    for layer in layers:
        layer.update.B.zero_()
        layer.update.requires_grad_(False)


def sample(seed: int) -> Iterator[Tensor]:
    """Yield the inputs on which the effect is measured."""
    return (inputs for inputs, _ in islice(KJV.stream(seed), BRIEF, BRIEF + SAMPLE))


@torch.no_grad()
def arriving(model: nn.Module, names: Sequence[str], batches: Iterable[Tensor]) -> dict[str, float]:
    """Return E‖x‖² over what reaches each of these layers."""
    sums, batches = dict.fromkeys(names, 0.0), list(batches)

    def listen(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def add(_layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            sums[name] += float(inputs[0].square().sum(-1).mean()) / len(batches)

        return add

    hooks = [model.get_submodule(name).register_forward_pre_hook(listen(name)) for name in names]
    try:
        with evaluating(model):
            for batch in batches:
                model(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return sums
