"""End what a learner's function does after so many seconds, even inside `except: pass`, and nothing around it."""

import ctypes
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import no_type_check

AGAIN, AT_LATEST = 2e-5, 0.02
"""Seconds. Once time is up, the alarm rings wherever Python can be interrupted: a `try` swallows one ring, and the next
comes outside of it. Should a ring be lost, there is another one soon."""


class TooSlow(BaseException):
    """The time is up. No Exception, so that `except Exception` does not swallow it."""


@dataclass
class Watch:
    """What happened while a limit was on."""

    interrupted: bool = False
    over: bool = False
    closed: bool = False


@dataclass(frozen=True)
class Raised:
    """What a guarded call raised instead of giving a result."""

    error: BaseException


@no_type_check
def inside(call: Callable[[], object]) -> object:
    """Return what `call` gives. Within a limit, only what runs in here is ever ended: a learner's code, not ours."""
    return call()


def guarded(call: Callable[[], object]) -> object:
    """Return what `call` gives inside, or `Raised`."""
    try:
        return inside(call)
    except BaseException as error:  # SystemExit, a learner's own KeyboardInterrupt, TooSlow
        return Raised(error)


@no_type_check
def _is_guarded(frame: FrameType | None) -> bool:
    ours = globals()
    while frame is not None:
        if frame.f_globals is ours and frame.f_code.co_name == "inside":
            return True
        frame = frame.f_back
    return False


def is_inside(frame: FrameType) -> bool:
    """Say whether this frame is the border between our code and a learner's."""
    return frame.f_globals is globals() and frame.f_code.co_name == "inside"


@no_type_check  # the tests' type checker would itself be interrupted
@contextmanager
def limit(seconds: float) -> Iterator[Watch]:
    """End guarded calls after so many seconds, the block as a whole; remember whether the reader interrupted."""
    watch = Watch()
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        with _from_a_thread(seconds, watch):
            yield watch
        return

    here = globals()

    def ring(_number: int, frame: FrameType | None) -> None:
        if frame is None or frame.f_globals is here:  # nothing is called up to here: a ring in a ring must be short
            return
        watch.over = True
        if _is_guarded(frame):
            if not watch.closed:
                signal.setitimer(signal.ITIMER_REAL, AGAIN, AT_LATEST)
            raise TooSlow

    def interrupt(number: int, frame: FrameType | None) -> None:
        watch.interrupted = True
        if callable(interrupted):
            interrupted(number, frame)

    before = signal.signal(signal.SIGALRM, ring)
    interrupted = signal.signal(signal.SIGINT, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds, AT_LATEST)
    try:
        yield watch
    finally:
        watch.closed = True  # before the alarm is off: one that already rang must not set it again
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.signal(signal.SIGINT, interrupted)


@contextmanager
def _from_a_thread(seconds: float, watch: Watch) -> Iterator[None]:
    """Do the same where there are no signals; a loop that swallows everything may then take a while to end."""
    target, done = threading.get_ident(), threading.Event()
    raise_there = ctypes.pythonapi.PyThreadState_SetAsyncExc

    def ring() -> None:
        pause = seconds
        while not done.wait(pause):
            watch.over, pause = True, 0.001
            if _is_guarded(sys._current_frames().get(target)):
                raise_there(ctypes.c_ulong(target), ctypes.py_object(TooSlow))

    thread = threading.Thread(target=ring, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        _joined(thread)


def _joined(thread: threading.Thread) -> None:
    """Wait for the ringing thread to end, and take the last ring here.

    To take it back, by raising None, would leave Python 3.11 believing for good that a ring is on its way: every thread
    runs slower from then on, and the first one that is traced, by a debugger or for coverage, never ends.
    """
    while True:
        try:
            thread.join()
        except TooSlow:
            continue
        return
