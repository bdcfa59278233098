"""What a grader asks of a child process: inputs, and never what is right for them."""

from collections.abc import Sequence
from dataclasses import dataclass

from lorabook.book.classroom.observe import Given, Observe


@dataclass(frozen=True)
class Limits:
    """What a child may use.

    Args:
        cpu: seconds of computing; `wall`: seconds of any kind, in which Python's own loops end with a message.
        memory: bytes above what Python and torch take; `output`: bytes of the observations.
    """

    cpu: int = 12
    wall: float = 10.0
    memory: int = 2**30
    output: int = 2**22


@dataclass(frozen=True)
class Request:
    """Run `source`, call its `function` on every case, and write down what comes."""

    source: str
    function: str
    observe: Observe
    cases: Sequence[Given]
    limits: Limits
