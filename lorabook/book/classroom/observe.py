"""Call a learner's function on the inputs of every case, and write down what came, as plain numbers."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lorabook.book.classroom.encode import Fault, encode
from lorabook.book.classroom.limits import TooSlow, guarded, inside
from lorabook.book.classroom.plain import Array, Value
from lorabook.book.classroom.seen import Seen
from lorabook.book.classroom.telling import told

Given = Mapping[str, object]
Observe = Callable[[Callable, Given], Seen]
FINAL = frozenset({"not-attempted", "not-a-function", "arguments", "endless", "exit"})
"""After one of these the other cases have nothing to add."""


def value(function: Callable, given: Given) -> Seen:
    """Observe a function that returns one value: a number, a vector or a matrix."""
    result = called(function, given)
    return Seen((numbers(result),), dtypes=(dtype_of(result),))


@dataclass(frozen=True)
class Values:
    """Observe a function that returns several values, which have these names."""

    names: tuple[str, ...]

    def __call__(self, function: Callable, given: Given) -> Seen:
        result = called(function, given)
        if isinstance(result, tuple | list) and len(result) == len(self.names):
            return Seen(tuple(numbers(part) for part in result), dtypes=tuple(dtype_of(part) for part in result))
        if result is None:
            return Seen((numbers(result),))  # which says that a `return` is missing
        asked = ", ".join(self.names)
        raise Fault("parts", f"Return {len(self.names)} values, in this order: `return {asked}`.")


def called(function: Callable, given: Given) -> object:
    """Return what a function gives for the inputs, tensors in the default dtype, in the order of `given`."""
    return call(function, given, [as_input(one) for one in given.values()])


def call(function: Callable, given: Given, inputs: list) -> object:
    """Return what a function gives for inputs that are made already; a limit can end it."""
    return inside(lambda: bound(function, given)(inputs))


def numbers(result: object) -> Value:
    """Return a result as plain numbers; a limit can end that too, for a result may be a class of the learner's.

    Raises:
        Fault: as `encode`.
    """
    return inside(lambda: encode(result))


def dtype_of(result: object) -> str:
    """Return the name of a result's dtype, or nothing if it has none."""
    dtype = result.dtype if isinstance(result, torch.Tensor | np.ndarray | np.generic) else ""
    return str(dtype).removeprefix("torch.")


def as_input(one: object) -> object:
    """Return an input as a learner gets it, a fresh copy: an array as a tensor, in the default dtype."""
    if isinstance(one, Array):
        return torch.tensor(one.values, dtype=input_dtype(), device="cpu")
    return list(one) if isinstance(one, list) else one


def input_dtype() -> torch.dtype:
    """Return the default dtype, so that `torch.zeros(…)` fits to the inputs; but float32 where that is coarser."""
    default = torch.get_default_dtype()
    return default if default in (torch.float32, torch.float64) else torch.float32


def bound(function: Callable, given: Given) -> Callable[[list], object]:
    """Return how to call a function with a list of inputs: by place, or by name where it takes them only so.

    Raises:
        Fault: it takes other arguments.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some functions written in C have none
        return lambda inputs: function(*inputs)
    try:
        signature.bind(*given)
        return lambda inputs: function(*inputs)
    except TypeError:
        pass
    try:
        signature.bind(**given)
        return lambda inputs: function(**dict(zip(given, inputs, strict=True)))
    except TypeError:
        asked = ", ".join(given)
        raise Fault("arguments", f"Your function takes {signature}; it is called with ({asked}).") from None


def observed(observe: Observe, function: object, cases: Sequence[Given]) -> list[Seen]:
    """Return what a function gives for each case; what it raises is written down, and nothing comes out of here."""
    if not callable(function):
        name = type(function).__name__
        text = f"What you hand in is of type {name}. Hand in the function itself: its name, without brackets."
        return [Seen(fault="not-a-function", says=text)]
    seen: list[Seen] = []
    for given in cases:
        seen.append(_one(observe, function, given))
        if seen[-1].fault in FINAL:
            return seen[-1:]
    return seen


def _one(observe: Observe, function: Callable, given: Given) -> Seen:
    try:
        return observe(function, given)
    except BaseException as raised:  # whatever it is, it is the learner's, and belongs in front of the learner
        error = raised
    if isinstance(error, TooSlow):
        return told(error, given)
    text = guarded(lambda: told(error, given))  # an error's text is the learner's code too
    if isinstance(text, Seen):
        return text
    if isinstance(text.error, TooSlow):
        return told(text.error, given)
    name = type(error).__name__
    return Seen(fault="raised", says=f"Your function stops with an error that cannot be shown: {name}.")
