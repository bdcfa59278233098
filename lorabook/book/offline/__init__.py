"""The book runs without a network; this folder makes a Python process prove it."""

import os
from pathlib import Path


def environment() -> dict[str, str]:
    """The environment of a child Python (a kernel, a build) whose sockets reach this machine only.

    The folder goes on PYTHONPATH, so the child imports `sitecustomize.py` before anything else. The number of threads
    is fixed, because sums are ordered by it and a stored output is compared to the last digit it prints.
    """
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {
        **os.environ,
        "PYTHONPATH": path,
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "OMP_NUM_THREADS": "2",
        # Threads that wait by spinning for long are several times slower once another program wants a core; threads
        # that never spin take twice as long when none does. This many turns is within 15% of the best of both.
        "GOMP_SPINCOUNT": "20000",
    }
