"""The book's own functions, wrong on purpose for a while: a claim about them must notice.

A function's code is exchanged in place, so that it is broken under every name by which a student has it. The wrong code
runs with the names of the right one's file.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FunctionType


@dataclass(frozen=True)
class Slip:
    """One mistake in the library: which function, what it does instead, and what a claim that misses it is told."""

    name: str
    function: FunctionType
    instead: Callable
    says: str


@contextmanager
def broken(slip: Slip | None) -> Iterator[None]:
    """Break the library inside the block; leave it as it is where there is no slip."""
    if slip is None:
        yield
        return
    right = slip.function.__code__
    slip.function.__code__ = slip.instead.__code__
    try:
        yield
    finally:
        slip.function.__code__ = right
