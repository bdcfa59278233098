"""A part of an assignment that is handed in as files beside the notebook: read as data, and never run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lorabook.book.classroom.judge import Judgement

Files = Mapping[str, bytes]
"""What lies beside a notebook, by its path from there."""


class Fault(Exception):
    """Files that are not as they must be: a code, and what to tell the student."""

    def __init__(self, code: str, says: str) -> None:
        super().__init__(says)
        self.code, self.says = code, says


@dataclass(frozen=True)
class FilePart:
    """One part of an assignment in files. `judge` gets them and a seed, and raises `Fault`."""

    title: str
    name: str
    share: float
    prompt: str
    judge: Callable[[Files, int], None] = field(repr=False)

    def judged(self, files: Files, seed: int) -> Judgement:
        """Return the judgement on what was handed in; nothing that is in a file makes this raise."""
        try:
            self.judge(files, seed)
        except Fault as fault:
            return Judgement(fault.code, fault.says, 0.0)
        except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError):
            return Judgement("unreadable", "The files could not be read as what they should be.", 0.0)
        return Judgement("right", "As it is asked for.", 1.0)
