"""What runs in the child: one request, under limits. Expected values, banks and solutions are never in this process."""

import ast
import contextlib
import json
import linecache
import os
import pickle
import resource
import struct
import sys
from pathlib import Path

import lorabook
from lorabook.book.classroom.landlock import read_only
from lorabook.book.classroom.limits import Raised, limit
from lorabook.book.classroom.limits import guarded as call_guarded
from lorabook.book.classroom.observe import observed
from lorabook.book.classroom.request import Limits, Request
from lorabook.book.classroom.seccomp import forbid_calls
from lorabook.book.classroom.seen import Seen, written

ANSWERS = "lorabook.book.exercises"
PACKAGE = Path(lorabook.__file__).parent
FILE = "<submission>"
STARTED = b"s"
SYSTEM = tuple(map(Path, ("/usr", "/lib", "/lib64", "/etc", "/dev/null", "/dev/urandom")))
HIDDEN = (PACKAGE / "book" / "exercises", PACKAGE / "shipped" / "notebooks", PACKAGE.parent / "notebooks")


def serve_one(results: int) -> None:
    """Read a request from the standard input, say that it starts, run it confined, and write what was observed."""
    size = _exactly(8)
    if not size:
        return
    request: Request = pickle.loads(_exactly(struct.unpack("Q", size)[0]))
    os.write(results, STARTED)
    _alone(results)
    confine(request.limits)
    report = written(run(request))
    while report:
        report = report[os.write(results, report) :]


def _exactly(size: int) -> bytes:
    """Return so many bytes of the standard input, unbuffered: the next request must stay in the pipe."""
    text = b""
    while len(text) < size:
        part = os.read(0, size - len(text))
        if not part:
            return b""
        text += part
    return text


def _alone(results: int) -> None:
    """Leave no way out of this process but the pipe for results."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    os.closerange(3, results)
    os.closerange(results + 1, 4096)
    os.chdir("/")
    sys.modules[ANSWERS] = None  # an import of it fails, also where its files could be read


def confine(limits: Limits) -> dict[str, bool]:
    """Limit what this process can do, as far as the system allows, and say how far that is."""
    used = 0
    with contextlib.suppress(OSError):
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    bounds = {"CPU": limits.cpu, "FSIZE": 0, "CORE": 0, "NOFILE": 256}
    if used:
        bounds["AS"] = used + limits.memory
    for name, bound in bounds.items():
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (bound, bound))
    folders = (Path(sys.prefix), Path(sys.base_prefix), PACKAGE, *SYSTEM)
    return {"files are read-only": read_only(folders, HIDDEN), "no network, no new processes": forbid_calls()}


def run(request: Request) -> list[Seen]:
    """Return what a function of a submission gives for every case."""
    space: dict[str, object] = {"__name__": "submission", "__file__": FILE}
    linecache.cache[FILE] = (len(request.source), None, request.source.splitlines(keepends=True), FILE)
    with limit(request.limits.wall):
        failed = ""
        for statement in ast.parse(request.source).body:
            code = compile(ast.Module([statement], []), FILE, "exec")
            done = call_guarded(lambda code=code: exec(code, space))
            if isinstance(done, Raised) and not failed:
                failed = f" Line {statement.lineno} of it stops with {type(done.error).__name__}."
        if request.function not in space:
            text = f"`{request.function}` is not defined.{failed}"
            return [Seen(fault="not-defined", says=text)]
        return observed(request.observe, space[request.function], request.cases)


if __name__ == "__main__":
    print(json.dumps(confine(Limits())))
