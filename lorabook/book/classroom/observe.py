"""Call a learner's function on the inputs of every case, and write down what came, as plain numbers."""

import inspect
import linecache
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from lorabook.book.classroom.compare import sizes
from lorabook.book.classroom.encode import Fault, encode
from lorabook.book.classroom.limits import TooSlow, guarded, inside, is_inside
from lorabook.book.classroom.plain import Array, Value, shape_of
from lorabook.book.classroom.seen import LONGEST_TEXT, Seen

Given = Mapping[str, object]
Observe = Callable[[Callable, Given], Seen]
FINAL = frozenset({"not-attempted", "not-a-function", "arguments", "endless", "exit"})
"""After one of these the other cases have nothing to add."""


def value(function: Callable, given: Given) -> Seen:
    """Observe a function that returns one value: a number, a vector or a matrix."""
    return Seen((numbers(called(function, given)),))


@dataclass(frozen=True)
class Values:
    """Observe a function that returns several values, which have these names."""

    names: tuple[str, ...]

    def __call__(self, function: Callable, given: Given) -> Seen:
        result = called(function, given)
        if isinstance(result, tuple | list) and len(result) == len(self.names):
            return Seen(tuple(numbers(part) for part in result))
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
        return _told(error, given)
    told = guarded(lambda: _told(error, given))  # an error's text is the learner's code too
    if isinstance(told, Seen):
        return told
    if isinstance(told.error, TooSlow):
        return _told(told.error, given)
    name = type(error).__name__
    return Seen(fault="raised", says=f"Your function stops with an error that cannot be shown: {name}.")


def _told(error: BaseException, given: Given) -> Seen:
    if isinstance(error, Fault):
        return Seen(fault=error.code, says=error.says)
    place, mine = _place(error)
    if isinstance(error, NotImplementedError) and mine and not error.args:  # torch's own always says something
        return Seen(fault="not-attempted", says="not attempted yet: replace `raise NotImplementedError()` by your code "
                    "and run both cells again")  # fmt: skip
    if isinstance(error, TooSlow):
        return Seen(fault="endless", says=f"Your function does not come to an end{place}: does a loop never end?")
    if isinstance(error, RecursionError):
        return Seen(fault="recursion", says=f"Your function calls itself without end{place}.")
    if isinstance(error, SystemExit | KeyboardInterrupt):
        text = f"Your function ends Python ({type(error).__name__}){place}. Return a value instead."
        return Seen(fault="exit", says=text)
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error)):
        return Seen(fault="memory", says=f"Your function needs more memory than there is{place}.")
    says = " ".join(str(error).split())[: LONGEST_TEXT // 2]
    return Seen(fault="raised", says=f"Your function stops with {type(error).__name__}: {says}{place}."
                f"{_advice(says)} It was called with {_sizes(given)}.")  # fmt: skip


def _place(error: BaseException) -> tuple[str, bool]:
    """Say which of the learner's own lines was running, and whether it is the last.

    The learner's file is the first that is none of ours, behind the border.
    """
    frames = list(traceback.walk_tb(error.__traceback__))
    border = max((i for i, (frame, _) in enumerate(frames) if is_inside(frame)), default=-1)
    frames = frames[border + 1 :]
    files = [frame.f_code.co_filename for frame, _ in frames]
    theirs = next((file for file, (frame, _) in zip(files, frames, strict=True) if not _ours(frame)), None)
    if theirs is None:
        return "", False
    last = max(i for i, file in enumerate(files) if file == theirs)
    frame, number = frames[last]
    text = linecache.getline(theirs, number, frame.f_globals).strip()
    line = f", in line {number - frame.f_code.co_firstlineno + 1} of `{frame.f_code.co_name}`"
    return line + (f": `{text[:120]}`" if text else ""), last == len(frames) - 1


def _ours(frame) -> bool:
    name = frame.f_globals.get("__name__")
    return isinstance(name, str) and name.startswith(__package__ + ".")


def _sizes(given: Given) -> str:
    return ", ".join(f"{name} = {_size(one)}" for name, one in given.items())


def _size(one: object) -> str:
    return sizes(shape_of(one.values)) if isinstance(one, Array) else str(one)


def _advice(says: str) -> str:
    if "same dtype" in says or "dtype" in says and ("Half" in says or "Float" in says or "Double" in says):
        return f" The inputs are {input_dtype()}, something you made is not: give it the same dtype."
    if "same device" in says or "on device meta" in says:
        return " The inputs are on the CPU, something you made is not."
    if "numpy()" in says and "grad" in says:
        return " NumPy takes no tensor that asks for a gradient: stay with torch."
    return ""
