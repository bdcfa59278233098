"""The process that has loaded torch and forks a child for each request: `python -m lorabook.book.classroom.server`.

It forks before the request comes in, so that no child can find another student's code in its memory.
"""

import os
import select
import signal
import struct
import sys
import time

import torch

from lorabook.book.classroom import child
from lorabook.book.classroom import traced as traced  # loaded here once, not in each child
from lorabook.book.classroom.warm import warm

GRACE = 2.0
"""Seconds beyond the limit, in which a child writes down that its time was up."""


def serve(wall: float, output: int) -> None:
    """Answer requests until the input ends, each with how it ended (1 byte), the size (8) and what the child wrote."""
    replies = os.dup(1)
    os.dup2(2, 1)
    while True:
        ending, text = _in_a_child(wall, output, replies)
        if ending == b"e":
            return
        answer = ending + struct.pack("Q", len(text)) + text
        while answer:
            answer = answer[os.write(replies, answer) :]


def _in_a_child(wall: float, output: int, replies: int) -> tuple[bytes, bytes]:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(replies)
            os.close(reading)
            os.setsid()
            child.serve_one(writing)
        finally:
            os._exit(0)
    os.close(writing)
    try:
        if os.read(reading, 1) != child.STARTED:
            return b"e", b""
        return _collected(reading, time.monotonic() + wall + GRACE, output)
    finally:
        os.close(reading)
        for end in (os.kill, os.killpg):
            try:
                end(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        os.waitpid(pid, 0)


def _collected(reading: int, deadline: float, output: int) -> tuple[bytes, bytes]:
    """Return what a child wrote until it closed the pipe: f(inished), t(oo slow) or l(arge)."""
    text = b""
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([reading], [], [], left)[0]:
            break
        part = os.read(reading, 2**16)
        if not part:
            return b"f", text
        text += part
        if len(text) > output:
            return b"l", b""
    return b"t", b""


if __name__ == "__main__":
    torch.set_num_threads(1)
    warm()  # here once, not in each child
    serve(float(sys.argv[1]), int(sys.argv[2]))
