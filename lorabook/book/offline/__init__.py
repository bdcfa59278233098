"""The book runs without a network; this folder makes a Python process prove it."""

import os
from pathlib import Path


def environment() -> dict[str, str]:
    """The environment of a child Python (a kernel, a build) whose sockets reach this machine only.

    The folder goes on PYTHONPATH, so the child imports `sitecustomize.py` before anything else.
    """
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
