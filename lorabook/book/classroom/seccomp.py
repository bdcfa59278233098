"""Forbid system calls to this process for good, where Linux can: no network, no new and no other process.

Source: seccomp(2), a filter in classic BPF.
"""

import ctypes
import errno
import os
import platform
import struct
import sys

NO_NEW_PRIVILEGES, SET_SECCOMP, FILTER = 38, 22, 2
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, FAIL = 0x7FFF0000, 0x00050000
CALL, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16
THREAD = 0x00010000
X32 = 0x40000000

# socket, connect, socketpair, fork, vfork, execve, kill, tkill, ptrace, execveat, process_vm_readv and _writev,
# pidfd_open, pidfd_send_signal, unshare, setns, mount, io_uring_setup, prlimit64, setrlimit; then clone, tgkill
NUMBERS = {
    "x86_64": (0xC000003E, (41, 42, 53, 57, 58, 59, 62, 200, 101, 322, 310, 311, 434, 424, 272, 308, 165, 425, 302,
                            160), 56, 234),
    "aarch64": (0xC00000B7, (198, 203, 199, 221, 129, 130, 117, 281, 270, 271, 434, 424, 97, 268, 40, 425, 261, 164),
                220, 131),
}  # fmt: skip
CLONE3 = 435


def forbid_calls() -> bool:
    """Forbid them to this process and all it starts; say whether the system could."""
    if sys.platform != "linux" or platform.machine() not in NUMBERS:
        return False
    architecture, forbidden, clone, tgkill = NUMBERS[platform.machine()]
    refuse, absent = (RETURN, 0, 0, FAIL | errno.EPERM), (RETURN, 0, 0, FAIL | errno.ENOSYS)
    program = [
        (LOAD, 0, 0, ARCHITECTURE), (EQUAL, 1, 0, architecture), refuse,
        (LOAD, 0, 0, CALL), (AT_LEAST, 0, 1, X32), refuse,
        *(step for number in forbidden for step in ((EQUAL, 0, 1, number), refuse)),
        (EQUAL, 0, 1, CLONE3), absent,  # its flags lie in memory; the C library then takes clone
        (EQUAL, 0, 3, clone), (LOAD, 0, 0, FIRST_ARGUMENT), (ANY_BIT, 5, 0, THREAD), refuse,
        (EQUAL, 0, 3, tgkill), (LOAD, 0, 0, FIRST_ARGUMENT), (EQUAL, 1, 0, os.getpid()), refuse,
        (RETURN, 0, 0, ALLOW),
    ]  # fmt: skip
    code = b"".join(struct.pack("HBBI", *step) for step in program)
    buffer = ctypes.create_string_buffer(code)
    header = struct.pack("HxxxxxxQ", len(program), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        return False
    return libc.prctl(SET_SECCOMP, FILTER, ctypes.c_char_p(header), 0, 0) == 0
