"""The optimiser that a model's recipe asks for, over everything in the model that trains."""

import torch
from torch import nn

from lorabook.core.adapted_layer import adapted
from lorabook.core.lora import ORIGIN
from lorabook.core.number import refuse_unless_positive
from lorabook.core.recipe import AxisConflict


def optimizer(model: nn.Module, lr: float) -> torch.optim.Optimizer:
    """Return the optimiser of the model's adapters (AdamW if it has none, which is full fine-tuning).

    Args:
        lr: step size η; what the recipe makes of it for A and for B is the recipe's affair.

    Raises:
        ValueError: nothing trains, or lr is not a positive number.
        AxisConflict: two adapted layers ask for different optimisers.
    """
    refuse_unless_positive("lr", lr, " (1e-3 is a fair start for LoRA)")
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not named:
        raise ValueError("no parameter of this model trains: inject a recipe, or call model.requires_grad_(True)")
    layers = adapted(model)
    optims = {layer.recipe.optim for layer in layers.values()} or {ORIGIN.optim}
    if len(optims) > 1:
        first, second = (
            list(layers.items())[0],
            next(item for item in layers.items() if item[1].recipe.optim != list(layers.values())[0].recipe.optim),
        )
        raise AxisConflict(
            f"{first[0]} ({first[1].recipe.label}) and {second[0]} ({second[1].recipe.label}) ask for different "
            "optimisers: inject both with the same one"
        )
    return optims.pop().build(named, lr)
