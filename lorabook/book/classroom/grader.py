"""Judge a function of a notebook that runs in a process of its own: only what was observed comes back, by a pipe."""

import json
import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from lorabook.book.classroom import seen as observations
from lorabook.book.classroom.exercise import Exercise
from lorabook.book.classroom.judge import NO_REPORT, Judgement, judge
from lorabook.book.classroom.observe import Observe
from lorabook.book.classroom.request import Limits, Request
from lorabook.book.classroom.seen import Seen
from lorabook.book.classroom.taken import taken

CHILD, SERVER = "lorabook.book.classroom.child", "lorabook.book.classroom.server"
KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "SYSTEMROOT", "LD_LIBRARY_PATH")
"""All that a child sees of the teacher's environment, which may hold keys."""


class Grader:
    """A server of child processes; use it in a `with` block."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._server: subprocess.Popen | None = None

    def __enter__(self) -> "Grader":
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop()

    def judgement(self, exercise: Exercise, cells: Sequence[str], seed: int) -> Judgement:
        """Return the judgement on the function that the cells of a notebook define, on the cases of a seed."""
        cases = exercise.cases(seed)
        source = taken(cells, exercise.function)
        if source is None:
            text = f"`{exercise.function}` is not defined in a cell that Python can read."
            return Judgement("not-defined", text, 0.0)
        return self.judged(exercise, source, cases)

    def judged(self, exercise: Exercise, source: str, cases: Sequence[Any]) -> Judgement:
        """Return the judgement on a function that `source` defines, on these cases."""
        seen = self.observed(source, exercise.function, exercise.observe, [case.given for case in cases])
        try:
            return judge(exercise, cases, seen)
        except (ArithmeticError, LookupError, TypeError, ValueError):  # a report that our observers never write
            return NO_REPORT

    def observed(self, source: str, function: str, observe: Observe, cases: Sequence[dict]) -> list[Seen]:
        """Return what a child observed; that it died, wrote too much or wrote nonsense is an observation too."""
        ending, text = self._ask(pickle.dumps(Request(source, function, observe, cases, self._limits)))
        if ending == b"t":
            return [Seen(fault="endless", says="Your function does not come to an end: does a loop never end?")]
        if ending == b"l":
            return [Seen(fault="output", says="Your function gives far more than is asked for.")]
        try:
            return observations.read(text) or [_killed()]
        except ValueError:
            return [_killed()]

    def _ask(self, request: bytes) -> tuple[bytes, bytes]:
        server = self._running()
        try:
            server.stdin.write(struct.pack("Q", len(request)) + request)
            server.stdin.flush()
            head = server.stdout.read(9)
            if len(head) == 9:
                return head[:1], server.stdout.read(struct.unpack("Q", head[1:])[0])
        except BrokenPipeError:
            pass
        self._stop()  # a child ended it; the next request starts another
        return b"f", b""

    def _running(self) -> subprocess.Popen:
        if self._server is None:
            command = [sys.executable, "-m", SERVER, str(self._limits.wall), str(self._limits.output)]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
            self._server = subprocess.Popen(command, env=_environment(), cwd="/", **pipes)
        return self._server

    def _stop(self) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            server.stdin.close()
            server.kill()
            server.wait()
            server.stdout.close()


def confinement() -> dict[str, bool]:
    """Return what this system can keep from a child, for a teacher to read before a sheet is graded."""
    command = [sys.executable, "-m", CHILD]
    done = subprocess.run(command, env=_environment(), cwd="/", capture_output=True, check=True)
    return json.loads(done.stdout)


def _environment() -> dict[str, str]:
    own = {name: os.environ[name] for name in KEPT if name in os.environ}
    search = os.pathsep.join(path for path in sys.path if path)
    return {**own, "PYTHONPATH": search, "HOME": "/nonexistent", "OMP_NUM_THREADS": "1"}


def _killed() -> Seen:
    return Seen(fault="killed", says="The process that ran your function ended before it gave an answer, or used more "
                "memory or time than it may.")  # fmt: skip
