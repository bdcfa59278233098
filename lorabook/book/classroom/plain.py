"""Matrices as lists of Python floats: what an answer is compared with, out of reach of anything a notebook patches.

torch's functions are taken here once, when the module is imported, which is before the learner's code runs. From
then on a check uses only these, and Python's own operators on floats.
"""

import random

from torch import Tensor, float64, tensor

Matrix = list[list[float]]
Value = Matrix | list[float] | float

_tolist = Tensor.tolist
_detach = Tensor.detach
_double = Tensor.double
_tensor, _float64, _Tensor = tensor, float64, Tensor

CLOSE = 1e-9


def draw(rows: int, columns: int, stream: random.Random) -> Matrix:
    """Return rows × columns numbers between −1 and 1."""
    return [[stream.uniform(-1, 1) for _ in range(columns)] for _ in range(rows)]


def times(a: Matrix, b: Matrix) -> Matrix | None:
    """Return ab, or None where the shapes do not fit."""
    if len(a[0]) != len(b):
        return None
    return [[sum(x * y for x, y in zip(row, column, strict=True)) for column in zip(*b, strict=True)] for row in a]


def turned(a: Matrix) -> Matrix:
    """Return aᵀ."""
    return [list(column) for column in zip(*a, strict=True)]


def scaled(s: float, a: Matrix) -> Matrix:
    """Return s·a."""
    return [[s * x for x in row] for row in a]


def plus(a: Matrix, b: Matrix) -> Matrix:
    """Return a + b, where b may be one row that is added to each row of a."""
    rows = b * len(a) if len(b) == 1 else b
    return [[x + y for x, y in zip(one, other, strict=True)] for one, other in zip(a, rows, strict=True)]


def to_tensor(a: Value) -> Tensor:
    """Return a matrix as a float64 tensor."""
    return _tensor(a, dtype=_float64)


def from_tensor(result: object) -> Value | None:
    """Return what an answer gave as lists of floats or a number, or None if it is neither a tensor nor a number."""
    if isinstance(result, _Tensor):
        return _tolist(_double(_detach(result)))
    return result if type(result) in (int, float) else None


def close(a: object, b: object) -> bool:
    """Say whether two numbers, or two nested lists of numbers, agree to nine digits."""
    if type(a) is list and type(b) is list:
        return len(a) == len(b) and all(close(x, y) for x, y in zip(a, b, strict=True))
    if type(a) is list or type(b) is list:
        return False
    gap, size = a - b, 1 + (b if b >= 0 else -b)
    return -CLOSE * size <= gap <= CLOSE * size
