"""What a tensor beside the adapters held before, and where the model keeps it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lorabook.core.names import Place
from lorabook.core.shards import is_shard, laid_out_as, whole


@dataclass
class Before:
    """A parameter or buffer outside the adapted layers, as it was when the model got its adapters.

    It is known by the module that holds it and its name there, in every place: names of the model change when it
    becomes part of another, and a tensor is replaced when it is sharded. Where a module is replaced as well (a norm by
    a synchronised one), by the name that it had.
    """

    name: str
    places: tuple[Place, ...]
    numbers: Tensor
    trains: bool
    """Whether it was trained, as opposed to a buffer that the model's own forward pass may have changed."""

    @property
    def now(self) -> Tensor:
        holder, name = self.places[0]
        return getattr(holder, name)

    def belongs_to_adapter(self) -> bool:
        """Whether an adapter's file must hold it: it was trained, whether or not it trains now, or it has changed."""
        now = whole(self.now)
        return self.trains or not torch.equal(now, self.numbers.to(now.device, now.dtype))


@contextmanager
def restored(all_before: Iterable[Before]) -> Iterator[None]:
    """What each tensor held before, inside the block; the same tensors as now, untouched, after it."""
    undo = []
    try:
        for before in all_before:
            now = before.now
            numbers = laid_out_as(now, before.numbers)
            if is_shard(now):
                # FSDP puts tensors of its own in the module's place at every forward pass: here the numbers must move.
                undo.append((before, now, now.detach().clone()))
                now.data.copy_(numbers)
                continue
            # Not written into `now`: a backward pass that is still to come may need it.
            undo.append((before, now, None))
            old = numbers.clone()
            _put(before.places, nn.Parameter(old, requires_grad=False) if isinstance(now, nn.Parameter) else old)
        yield
    finally:
        for before, now, numbers in reversed(undo):
            if numbers is None:
                _put(before.places, now)
            else:
                now.data.copy_(numbers)


def _put(places: tuple[Place, ...], tensor: Tensor) -> None:
    for holder, name in places:
        (holder._parameters if name in holder._parameters else holder._buffers)[name] = tensor
