"""The layers that `inject` adapts when nobody names any: every linear one but the output head."""

from collections import Counter

from torch import nn

from lorabook.core.adapted_layer import adapted
from lorabook.core.layer_types import reads_rows
from lorabook.core.names import named_modules

HEADS = ("lm_head", "score", "classifier", "qa_outputs", "head", "heads", "fc")
"""What transformers, timm and torchvision call an output head; it counts where it is a child of the model itself."""


def all_linear(model: nn.Module) -> list[str]:
    """Return the names of the model's linear layers without its output head, as PEFT's "all-linear" finds them.

    The head is what `model.get_output_embeddings()` returns, else a child of the model that has one of the names in
    `HEADS`, with all inside it; and a linear layer whose weight is an embedding's. A model that is nothing but a head
    gives its head.

    Raises:
        ValueError: there is no linear layer (the message says what there is), or the model has adapters already.
    """
    if names := list(adapted(model)):
        raise ValueError(f"{names[0]} is adapted already: merge(model) first, or name other layers by `targets`")
    linear = {name: layer for name, layer in named_modules(model) if reads_rows(layer) and name}
    if not linear:
        raise ValueError(
            f"the model has no linear layer inside it; it has {_counted(model)}. Name layers of another type by "
            "`targets`, a regular expression over their names"
        )
    head = _head(model)
    return [name for name, layer in linear.items() if layer not in head] or list(linear)


def _head(model: nn.Module) -> set[nn.Module]:
    embeddings = {id(part.weight) for part in model.modules() if isinstance(part, nn.Embedding)}
    heads = {part for part in model.modules() if reads_rows(part) and id(part.weight) in embeddings}
    output = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    found = [output] if output is not None else [model._modules.get(name) for name in HEADS]
    return heads.union(*(part.modules() for part in found if part is not None))


def _counted(model: nn.Module) -> str:
    """Return which layers with numbers of their own a model has: 3 × Conv2d, 2 × BatchNorm2d."""
    types = Counter(type(part).__name__ for part in model.modules() if list(part.parameters(recurse=False)))
    return ", ".join(f"{count} × {name}" for name, count in types.items()) or "no layer with parameters"
