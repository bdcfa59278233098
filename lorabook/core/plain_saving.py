"""`save_pretrained` of a model with adapters: refused, for `from_pretrained` would open the file as another model.

transformers writes every layer under the names that it has here (`q_proj.base…`, `q_proj.update.A`), and on opening the
file fills each `q_proj.weight` that it misses with fresh random numbers, with no more than a warning.
"""

from typing import Any

from torch import nn

from lorabook.core.adapted_layer import adapted

METHOD = "save_pretrained"


class PlainSaving:
    """Stands in an adapted model for its class' `save_pretrained`, and leaves it alone where no adapter is left."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        layers = adapted(self.model)
        if layers:
            raise ValueError(
                f"save_pretrained would write {next(iter(layers))} and {len(layers) - 1} more layers in a form that "
                "from_pretrained cannot open. save_adapter(model, folder) writes the adapter, which AutoModel opens on "
                "top of its base; after merge(model) save_pretrained writes the whole model. Under transformers' "
                "Trainer give it **for_trainer(model, lr), of lorabook.saving.trainer"
            )
        return getattr(type(self.model), METHOD)(self.model, *arguments, **named)


def refuse_plain_saving(model: nn.Module) -> None:
    """Put `PlainSaving` where a model, or a part of it, has a `save_pretrained` and holds adapters."""
    for part in model.modules():
        if METHOD in dir(type(part)) and adapted(part):
            vars(part)[METHOD] = PlainSaving(part)
