"""Let this process read a few folders and write nothing, for good, where Linux can.

Source: landlock(7), versions 1 to 7 of its interface.
"""

import ctypes
import os
import struct
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

CREATE, ADD, RESTRICT = 444, 445, 446
NO_NEW_PRIVILEGES = 38
READ_FILE, READ_FOLDER = 1 << 2, 1 << 3
RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
"""How many rights on files there are, by version; 16 from the fifth on."""
NETWORK, SCOPES = 0b11, 0b11
"""TCP bind and connect, from version 4 on; abstract sockets and signals to others, from version 6 on."""


def read_only(folders: Iterable[Path], hidden: Iterable[Path]) -> bool:
    """Allow reading in `folders` but not in `hidden`; say whether the system could."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(CREATE, None, 0, 1)
    if version < 1:
        return False
    handled = (1 << RIGHTS.get(version, 16)) - 1
    asked = struct.pack("QQQ", handled, NETWORK, SCOPES)[: 8 if version < 4 else 16 if version < 6 else 24]
    rules = libc.syscall(CREATE, asked, len(asked), 0)
    _allow(libc, rules, Path("/"), READ_FOLDER)  # Python lists the folders it imports from; names alone are no answers
    for path in {kept for folder in folders for kept in _without(folder.resolve(), [h.resolve() for h in hidden])}:
        _allow(libc, rules, path, READ_FILE)
    libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    done = libc.syscall(RESTRICT, rules, 0) == 0
    os.close(rules)
    return done


def _without(path: Path, hidden: list[Path]) -> Iterator[Path]:
    """Return paths that together cover `path` but none of `hidden`."""
    if path in hidden or not path.exists():
        return
    if not any(path in one.parents for one in hidden):
        yield path
        return
    for part in path.iterdir():
        yield from _without(part, hidden)


def _allow(libc: ctypes.CDLL, rules: int, path: Path, rights: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # what cannot be opened need not be allowed
        return
    libc.syscall(ADD, rules, 1, struct.pack("=Qi", rights, handle), 0)
    os.close(handle)
