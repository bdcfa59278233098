"""Matrices as lists of Python floats: what an answer is compared with."""

import math
import random
from dataclasses import dataclass

Matrix = list[list[float]]
Value = list | float
"""A number, or lists of values: a vector, a matrix, and what a learner may give instead."""


@dataclass(frozen=True)
class Array:
    """Numbers that a learner's function gets as a tensor."""

    values: Value


def draw(rows: int, columns: int, stream: random.Random) -> Matrix:
    """Return rows × columns numbers between −1 and 1, none near 0, with two digits: a reader must see what came in."""
    return [[stream.choice((-1, 1)) * stream.randint(10, 99) / 100 for _ in range(columns)] for _ in range(rows)]


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


def entrywise(a: Matrix, b: Matrix) -> Matrix:
    """Return a ⊙ b."""
    return [[x * y for x, y in zip(one, other, strict=True)] for one, other in zip(a, b, strict=True)]


def cotangent(rows: int, columns: int) -> Matrix:
    """Return the ∂L/∂y with which gradients are taken: no entry is 0, no two are equal."""
    return [[1 + math.cos(1 + i * columns + j) / 2 for j in range(columns)] for i in range(rows)]


def shape_of(value: Value) -> tuple[int, ...]:
    """Return the sizes of a value; a number has none."""
    sizes = []
    while isinstance(value, list):
        sizes.append(len(value))
        value = value[0] if value else 0.0
    return tuple(sizes)


def entries(value: Value) -> list[float]:
    """Return all numbers of a value, row after row."""
    return [x for part in value for x in entries(part)] if isinstance(value, list) else [value]
