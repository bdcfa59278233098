"""Observe a forward pass: what it returns, which inputs meet in a product, and the gradient that each input gets."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lorabook.book.classroom.encode import Fault
from lorabook.book.classroom.limits import inside
from lorabook.book.classroom.observe import Given, as_input, call, dtype_of, numbers
from lorabook.book.classroom.plain import Array, cotangent, shape_of
from lorabook.book.classroom.seen import Seen

PRODUCTS = frozenset(
    "mm bmm addmm baddbmm addbmm mv addmv dot vdot mul addcmul addr linear outer ger kron linalg_vecdot".split()
)


class _Origins(TorchDispatchMode):
    """Follow every tensor to the inputs it is computed from, whatever writes it: a product, an einsum, a loop of rows.

    By storage, so that views and in-place writes are followed too.
    """

    def __init__(self, inputs: dict[str, Tensor]) -> None:
        super().__init__()
        self.of = {_memory(tensor): frozenset({name}) for name, tensor in inputs.items()}
        self.alive: list[Tensor] = list(inputs.values())  # while they live, no address is given out twice
        self.met: set[frozenset[str]] = set()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Return False: torch would load its compiler otherwise, which takes seconds of the learner's limit."""
        return False

    def __torch_dispatch__(
        self, function: Callable, types: object, args: tuple = (), kwargs: dict | None = None
    ) -> object:
        result = function(*args, **(kwargs or {}))
        given = [
            self.of.get(_memory(one), frozenset()) for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)
        ]
        names = frozenset().union(*given)
        if function.overloadpacket.__name__.removesuffix("_") in PRODUCTS:
            self.met.add(names)
        for one in tree_leaves(result):
            if isinstance(one, Tensor):
                self.of[_memory(one)] = self.of.get(_memory(one), frozenset()) | names
                self.alive.append(one)
        return result


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata if tensor.layout == torch.strided else id(tensor)


def forward_pass(function: Callable, given: Given) -> Seen:
    """Observe y = function(…), with every tensor asking for a gradient, as parameters of a freshly loaded layer do.

    The gradients are those of Σ g·y, with g = `plain.cotangent` of the shape of y.
    """
    inputs = {name: as_input(one) for name, one in given.items()}
    tensors = {name: one.requires_grad_(True) for name, one in inputs.items() if isinstance(given[name], Array)}
    with _Origins(tensors) as origins:
        result = call(function, given, list(inputs.values()))
    value = numbers(result)
    if not isinstance(result, Tensor):
        raise Fault("type", f"Your function returns a {type(result).__name__}. Return a tensor, so that gradients can "
                    "flow back through it.")  # fmt: skip
    if result.requires_grad and len(shape_of(value)) == 2:
        g = torch.tensor(cotangent(*shape_of(value)), dtype=result.dtype)
        # Given a gradient, `backward` would import sympy first: seconds of the learner's limit, or an import cut off.
        inside(lambda: (result * g).sum().backward())
    gradients = {name: None if one.grad is None else numbers(one.grad) for name, one in tensors.items()}
    return Seen(
        (value,),
        dtypes=(dtype_of(result),),
        met=tuple(sorted(tuple(sorted(names)) for names in origins.met)),
        gradients=gradients,
    )
