"""The layers on which every form is tried, and a way to find every form."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from lorabook.claims.catalogue import catalogue
from lorabook.core.lora import LoRA
from lorabook.core.recipe import Recipe

R = 3


@dataclass(frozen=True)
class World:
    """A layer kind: how to make one, and an input for it. float64, so that what differs is not rounding."""

    name: str
    layer: Callable[[], nn.Module]
    x: Callable[[], Tensor]


def _conv(**options) -> Callable[[], nn.Module]:
    return lambda: nn.Conv2d(4, 6, 3, **options)


def _image() -> Tensor:
    return torch.randn(2, 4, 7, 7, dtype=torch.float64)


def _rows() -> Tensor:
    return torch.randn(2, 5, 8, dtype=torch.float64)


WORLDS = (
    World("Linear", lambda: nn.Linear(8, 6), _rows),
    World("Linear without bias", lambda: nn.Linear(8, 12, bias=False), _rows),
    World("Linear on one vector", lambda: nn.Linear(8, 6), lambda: torch.randn(8, dtype=torch.float64)),
    World("Conv1D", lambda: Conv1D(6, 8), _rows),
    World("Conv2d", _conv(), _image),
    World("Conv2d strided, padded", _conv(stride=2, padding=1), _image),
    World("Conv2d dilated", _conv(dilation=2, bias=False), _image),
    World("Conv2d grouped", _conv(groups=2, padding=1), _image),
    World("Conv2d same, circular", _conv(padding="same", padding_mode="circular"), _image),
    World("Embedding", lambda: nn.Embedding(10, 6), lambda: torch.randint(10, (2, 5))),
    World("Embedding with padding", lambda: nn.Embedding(10, 6, padding_idx=0), lambda: torch.randint(10, (2, 5))),
)


EXAMPLES = {"total_steps": 100, "group": 4}
"""Values for the arguments that a recipe has no default for."""


def example(recipe: Callable[..., Recipe]) -> Recipe:
    """Return a recipe made with its defaults, and an example value where it has none."""
    needed = [name for name, p in inspect.signature(recipe).parameters.items() if p.default is p.empty]
    return recipe(**{name: EXAMPLES[name] for name in needed})


def forms() -> dict[str, Recipe]:
    """Return one recipe for every form of the update that the package holds, by the form's name."""
    found = {"LowRankForm": LoRA()}
    for folder in catalogue().values():
        for recipe in folder.values():
            made = example(recipe)
            if made.form is not None:
                found[type(made.form).__name__] = made
    return found


def fresh(world: World) -> tuple[nn.Sequential, Tensor]:
    """Return a model of one layer, seeded, and an input for it."""
    torch.manual_seed(0)
    model = nn.Sequential(world.layer()).double()
    return model, world.x()


def shake(layer: nn.Module) -> None:
    """Move every trained number, as training would."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in layer.update.parameters():
            parameter.add_(0.5 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype))
