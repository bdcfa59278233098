"""What a learner's function returned, as nested lists of floats: tensors, NumPy, lists and numbers of every kind."""

import inspect
import math
import numbers
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from lorabook.book.classroom.plain import Value, entries, shape_of

LARGEST = 200_000
"""Entries; every right answer is far smaller."""

# Taken once, when the module is imported, which is before a learner can patch them by accident.
_tolist, _detach, _to, _resolve = Tensor.tolist, Tensor.detach, Tensor.to, Tensor.resolve_conj
_Tensor, _plain = Tensor, torch._C.DisableTorchFunctionSubclass


class Fault(Exception):
    """No answer that could be compared: a code, and what to tell the learner."""

    def __init__(self, code: str, says: str) -> None:
        super().__init__(says)
        self.code, self.says = code, says


def encode(result: object) -> Value:
    """Return one value.

    Raises:
        Fault: nothing came, or something that holds no finite real numbers in a rectangle.
    """
    value = _numbers(result)
    if any(len(shape) > 1 for shape in _row_shapes(value)):
        raise Fault("ragged", "Your function returns rows of different lengths. Return a rectangle.")
    for place, x in enumerate(entries(value)):
        if not math.isfinite(x):
            raise Fault("nan", f"Your function returns {x}{_at(place, shape_of(value))}: see what is divided by 0 "
                        "there, or what grows without bound.")  # fmt: skip
    return value


def _at(place: int, shape: tuple[int, ...]) -> str:
    if not shape:
        return ""
    indices = []
    for size in reversed(shape):
        place, rest = divmod(place, size)
        indices.insert(0, rest)
    return f" at {indices}"


def _row_shapes(value: Value) -> list[set[tuple[int, ...]]]:
    if not isinstance(value, list):
        return []
    return [{shape_of(row) for row in value}, *(shapes for row in value for shapes in _row_shapes(row))]


def _numbers(result: object, depth: int = 0) -> Value:
    if isinstance(result, _Tensor):
        return _tensor(result)
    if isinstance(result, np.ndarray | np.generic):
        return _array(result)
    if isinstance(result, list | tuple | range) and depth < 8:
        if len(result) > LARGEST:
            raise _too_large(len(result))
        return [_numbers(part, depth + 1) for part in result]
    if isinstance(result, numbers.Real | Fraction) or type(result).__name__ == "Decimal":
        try:
            return float(result)
        except OverflowError:
            return math.inf
    if depth:
        raise Fault("type", f"Your function returns a list that holds a {type(result).__name__}. Return numbers only.")
    raise _no_number(result)


def _tensor(result: Tensor) -> Value:
    with _plain():
        if result.device.type == "meta":
            raise Fault("meta", "Your function returns a tensor on the device `meta`, which has a shape and no "
                        "numbers. Make it on the CPU.")  # fmt: skip
        if result.layout != torch.strided:
            raise Fault("sparse", "Your function returns a sparse tensor. Return `.to_dense()` of it.")
        if result.numel() > LARGEST:
            raise _too_large(result.numel())
        if result.is_quantized:
            raise Fault("dtype", "Your function returns a quantised tensor. Return `.dequantize()` of it.")
        if result.is_complex():
            raise _complex(result.dtype)
        return _tolist(_to(_detach(result), device="cpu", dtype=torch.float64))


def _array(result: np.ndarray | np.generic) -> Value:
    if result.size > LARGEST:
        raise _too_large(result.size)
    if result.dtype.kind == "c":
        raise _complex(result.dtype)
    if result.dtype.kind == "O":
        return _numbers(result.tolist(), 1)
    if result.dtype.kind not in "biuf":
        raise Fault("dtype", f"Your function returns an array of {result.dtype}. Return numbers.")
    return np.asarray(result, dtype=np.float64).tolist()


def _too_large(size: int) -> Fault:
    return Fault("size", f"Your function returns {size:,} entries, far more than is asked for. Look at its shape.")


def _complex(dtype: object) -> Fault:
    return Fault("dtype", f"Your function returns complex numbers ({dtype}). Return real ones.")


def _no_number(result: object) -> Fault:
    if result is None:
        return Fault("no-return", "Your function returns None. Is a `return` missing?")
    if inspect.iscoroutine(result):
        result.close()  # or Python warns that nobody awaited it
    if inspect.isgenerator(result):
        return Fault("type", "Your function is a generator: it has a `yield`. Collect the values and `return` them.")
    if isinstance(result, dict | set | map | filter | zip):
        return Fault("type", f"Your function returns a {type(result).__name__}. Return a tensor or a number.")
    if isinstance(result, complex):
        return _complex("complex")
    if callable(result):
        return Fault("type", "Your function returns a function. Are the brackets of a call missing?")
    return Fault("type", f"Your function returns a {type(result).__name__}. Return a tensor or a number.")
