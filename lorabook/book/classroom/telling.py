"""What to tell a learner of an error: what it is, in which of their own lines, and what the function was given."""

import linecache
import traceback
from collections.abc import Mapping
from types import FrameType

from lorabook.book.classroom.compare import sizes
from lorabook.book.classroom.encode import Fault
from lorabook.book.classroom.limits import TooSlow, is_inside
from lorabook.book.classroom.plain import Array, shape_of
from lorabook.book.classroom.seen import LONGEST_TEXT, Seen

OURS = (f"{__package__}.", "lorabook.book.assignments.")
"""What calls a learner's code, and is none of it."""


def told(error: BaseException, given: Mapping[str, object]) -> Seen:
    """Return an error as an observation."""
    if isinstance(error, Fault):
        return Seen(fault=error.code, says=error.says)
    place, mine = _place(error)
    if isinstance(error, NotImplementedError) and mine and not error.args:  # torch's own always says something
        return Seen(fault="not-attempted", says="not attempted yet: replace `raise NotImplementedError()` by your code "
                    "and run it again")  # fmt: skip
    if isinstance(error, TooSlow):
        return Seen(fault="endless", says=f"Your function does not come to an end{place}: does a loop never end?")
    if isinstance(error, RecursionError):
        return Seen(fault="recursion", says=f"Your function calls itself without end{place}.")
    if isinstance(error, SystemExit | KeyboardInterrupt):
        text = f"Your function ends Python ({type(error).__name__}){place}. Return a value instead."
        return Seen(fault="exit", says=text)
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error)):
        return Seen(fault="memory", says=f"Your function needs more memory than there is{place}.")
    says = " ".join(str(error).split())[: LONGEST_TEXT // 2].rstrip(".")
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


def _ours(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__")
    return isinstance(name, str) and name.startswith(OURS)


def _sizes(given: Mapping[str, object]) -> str:
    return ", ".join(f"{name} = {_size(one)}" for name, one in given.items())


def _size(one: object) -> str:
    return sizes(shape_of(one.values)) if isinstance(one, Array) else str(one)


def _advice(says: str) -> str:
    if "same dtype" in says or "scalar type" in says:
        return " The inputs and something you made have different dtypes: give it the dtype of the inputs."
    if "same device" in says or "on device meta" in says:
        return " The inputs are on the CPU, something you made is not."
    if "numpy()" in says and "grad" in says:
        return " NumPy takes no tensor that asks for a gradient: stay with torch."
    return ""
