"""Put back what a learner's function changes by accident, and show no more of its prints than a page can take."""

import contextlib
import io
import os
import random
import sys
import warnings
from collections.abc import Iterator

import numpy as np
import torch

PRINTED = 2_000


@contextlib.contextmanager
def settings_kept() -> Iterator[None]:
    """Run the block with gradients on, then put back torch's, NumPy's and Python's settings and random streams."""
    streams = torch.get_rng_state(), np.random.get_state(), random.getstate()
    dtype, device, threads = torch.get_default_dtype(), torch.get_default_device(), torch.get_num_threads()
    gradients, strict = torch.is_grad_enabled(), torch.get_deterministic_debug_mode()
    depth, folder, trace, look = sys.getrecursionlimit(), os.getcwd(), sys.gettrace(), np.get_printoptions()
    page = dict(vars(torch._tensor_str.PRINT_OPTS))
    try:
        torch.set_grad_enabled(True)
        with warnings.catch_warnings(), np.errstate():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_default_device(None if device == torch.device("cpu") else device)
        torch.set_grad_enabled(gradients)
        # Not `use_deterministic_algorithms`, which loads torch's compiler, for seconds, even where nothing changed.
        torch.set_deterministic_debug_mode(strict)
        torch.set_num_threads(threads)
        torch.set_rng_state(streams[0])
        np.random.set_state(streams[1])
        random.setstate(streams[2])
        sys.setrecursionlimit(depth)
        sys.settrace(trace)
        os.chdir(folder)
        np.set_printoptions(**{name: value for name, value in look.items() if name != "override_repr"})
        vars(torch._tensor_str.PRINT_OPTS).update(page)


@contextlib.contextmanager
def exit_raises() -> Iterator[None]:
    """Let `exit()` raise SystemExit, as in Python, and not end the kernel, as in IPython."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None:
        yield
        return
    shell.ask_exit = sys.exit
    try:
        yield
    finally:
        del shell.ask_exit


class _Page(io.TextIOBase):
    """A stream that keeps the first characters and drops the others."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.dropped = "", 0

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        room = PRINTED - len(self.text)
        self.text += text[:room]
        self.dropped += max(0, len(text) - room)
        return len(text)


@contextlib.contextmanager
def prints_bounded() -> Iterator[None]:
    """Hold back what the block prints, then print the first 2,000 characters of it."""
    page = _Page()
    with contextlib.redirect_stdout(page), contextlib.redirect_stderr(page):
        yield
    if page.text:
        more = f"\n… and {page.dropped:,} characters more" if page.dropped else ""
        print(page.text.removesuffix("\n") + more)
