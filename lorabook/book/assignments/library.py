"""The book's own functions, wrong on purpose for a while: a claim about them must notice.

A function's code is exchanged in place, so that it is broken under every name by which a student has it. The wrong code
runs with the names of the right one's file.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import unwrap


@dataclass(frozen=True)
class Slip:
    """One mistake in the library: which function, what it does instead, and what a claim that misses it is told."""

    name: str
    function: Callable
    instead: Callable
    says: str


@contextmanager
def broken(slip: Slip | None) -> Iterator[None]:
    """Break the library inside the block; leave it as it is where there is no slip."""
    if slip is None:
        yield
        return
    # What a type checker wraps round a function has code of its own.
    function, right = unwrap(slip.function), unwrap(slip.function).__code__
    function.__code__ = unwrap(slip.instead).__code__
    try:
        yield
    finally:
        function.__code__ = right
