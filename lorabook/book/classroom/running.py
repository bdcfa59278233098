"""Run a learner's function: what it gave, or what went wrong and in which of the learner's own lines."""

import contextlib
import linecache
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass

SECONDS = 5


class NotAttempted(Exception):
    """The stub is still as it was."""


class TooSlow(Exception):
    """The learner's function did not come to an end."""


@dataclass(frozen=True)
class Failed:
    """What the learner's function did instead of giving an answer."""

    says: str


def run(answer: object, *given: object) -> object:
    """Return what `answer` gives, or `Failed`, with the line of the learner's code that did it.

    Raises:
        NotAttempted: the function is the stub, which raises NotImplementedError.
    """
    if not callable(answer):
        name = type(answer).__name__
        return Failed(f"What you hand in is of type {name}. Hand in the function itself: its name, without brackets.")
    try:
        with within(SECONDS):
            return answer(*given)
    except NotImplementedError as error:
        raise NotAttempted from error
    except TooSlow as error:
        place = _place(error, answer)
        return Failed(f"Your function runs for more than {SECONDS} seconds{place}: does a loop never end?")
    except RecursionError as error:
        return Failed(f"Your function calls itself without end{_place(error, answer)}.")
    except Exception as error:  # whatever it is, it is the learner's, and belongs in front of the learner
        return Failed(f"Your function stops with {type(error).__name__}: {error}{_place(error, answer)}.")


def _place(error: BaseException, answer: object) -> str:
    """Say which of the learner's own lines was running: the last one in the file or cell that holds the answer."""
    code = getattr(answer, "__code__", None)  # a callable need not be a function
    if code is None:
        return ""
    mine = [at for at in traceback.walk_tb(error.__traceback__) if at[0].f_code.co_filename == code.co_filename]
    if not mine:
        return ""
    frame, number = mine[-1]
    text = linecache.getline(code.co_filename, number, frame.f_globals).strip()
    return f", in line {number - code.co_firstlineno + 1} of the function" + (f": `{text}`" if text else "")


@contextlib.contextmanager
def within(seconds: int) -> Iterator[None]:
    """Interrupt the block after so many seconds, where the system can (not on Windows, not off the main thread)."""
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_signal: int, _frame: object) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
