"""What one batch is: a pair of inputs and targets, checked before a model sees it."""

from collections.abc import Mapping

import torch
from torch import Tensor

Part = Tensor | Mapping[str, Tensor]

Batch = tuple[Part, Part]
"""Inputs and targets: tensors, or several tensors by name."""

IGNORED = -100
"""The target of a place that is not scored, as torch's cross_entropy has it."""


def pair_of(batch: object, step: int, device: torch.device) -> Batch:
    """Return a batch as a pair on a device.

    Raises:
        TypeError: it is no pair of tensors, or of tensors by name.
    """
    if isinstance(batch, (tuple, list)) and len(batch) == 2 and all(_is_part(part) for part in batch):
        return _moved(batch[0], device), _moved(batch[1], device)
    raise TypeError(f"batches gave {_described(batch)} at step {step}, and each batch must be a pair (inputs, targets)"
                    f" of tensors: {_instead(batch)}")  # fmt: skip


def refuse_without_targets(batch: Batch, step: int) -> None:
    """Refuse a batch with nothing to learn, where a loss has come out that is no number.

    Raises:
        ValueError: it is empty, or all of its targets are −100.
    """
    for what, part in zip(("inputs", "targets"), batch, strict=True):
        for tensor in _tensors(part):
            if not tensor.numel():
                raise ValueError(
                    f"the batch at step {step} is empty: its {what} have shape {tuple(tensor.shape)}, and a mean over "
                    "nothing is no number. Leave such batches out, e.g. (b for b in batches if len(b[1]))"
                )
    targets = _tensors(batch[1])
    if targets and all(not t.is_floating_point() and bool((t == IGNORED).all()) for t in targets):
        raise ValueError(
            f"all targets of the batch at step {step} are −100, which the loss leaves out, so there is nothing to "
            "learn from it: check how answers are marked and where texts are cut off, and leave such batches out, "
            "e.g. (b for b in batches if (b[1] != -100).any())"
        )


def _tensors(part: Part) -> list[Tensor]:
    return [part] if isinstance(part, Tensor) else list(part.values())


def _is_part(part: object) -> bool:
    if isinstance(part, Mapping):
        return all(isinstance(tensor, Tensor) for tensor in part.values())
    return isinstance(part, Tensor)


def _moved(part: Part, device: torch.device) -> Part:
    if isinstance(part, Tensor):
        return part.to(device)
    return {name: tensor.to(device) for name, tensor in part.items()}


def _described(batch: object) -> str:
    if isinstance(batch, Tensor):
        return f"a tensor of shape {tuple(batch.shape)}"
    if isinstance(batch, Mapping):
        return f"a {type(batch).__name__} with the keys {', '.join(map(str, batch)) or '(none)'}"
    if isinstance(batch, (tuple, list)):
        kinds = ", ".join(type(part).__name__ for part in batch[:6])
        return f"a {type(batch).__name__} of {len(batch)} ({kinds}{', …' if len(batch) > 6 else ''})"
    return f"{type(batch).__name__} {batch!r:.60}"


def _instead(batch: object) -> str:
    if isinstance(batch, Mapping):
        return (
            "for a model of transformers give fit(model, lb.transformers_pairs(batches), loss=lb.transformers_loss), "
            "for another ((b['inputs'], b['targets']) for b in batches) with the keys of your own"
        )
    if isinstance(batch, Tensor):
        return "for one pair again and again, give itertools.repeat((inputs, targets))"
    if isinstance(batch, str):
        return "if batches is one dictionary, give a list or an iterator of such dictionaries to lb.transformers_pairs"
    if isinstance(batch, (tuple, list)) and len(batch) == 2:
        return "convert what is no tensor, e.g. ((torch.as_tensor(x), torch.as_tensor(y)) for x, y in batches)"
    if isinstance(batch, (tuple, list)) and len(batch) > 2:
        return (
            "if there is a mask, mark targets that do not count with −100, or give several inputs by name and a loss "
            "of your own, e.g. (({'x': x, 'mask': mask}, y) for x, mask, y in batches)"
        )
    return "e.g. zip(inputs, targets), or a DataLoader over torch.utils.data.TensorDataset(inputs, targets)"
