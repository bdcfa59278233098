"""See which tensors a call makes, so that a check can tell a cheap path from a dear one with the same result."""

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

_storage = Tensor.untyped_storage
_numel = Tensor.numel


class _NewTensors(TorchFunctionMode):
    """Write down the size of every new tensor that a torch function returns; a view of what was there is not new."""

    def __init__(self, given: Sequence[Tensor]) -> None:
        super().__init__()
        self.given = {_storage(tensor).data_ptr() for tensor in given}
        self.sizes: list[int] = []
        self.alive: list[Tensor] = []  # while they live, no address is given out twice

    def __torch_function__(
        self, function: Callable, types: object, args: tuple = (), kwargs: dict | None = None
    ) -> object:
        result = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and _storage(leaf).data_ptr() not in self.given:
                self.sizes.append(_numel(leaf))
                self.alive.append(leaf)
        return result


def sizes_made(call: Callable[[], object], given: Sequence[Tensor]) -> tuple[object, list[int]]:
    """Return what `call` gives, and the number of entries of every tensor it made, views of `given` left out."""
    with _NewTensors(given) as new:
        result = call()
    return result, new.sizes
