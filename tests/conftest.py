"""Rules for every test: no network, and no skip without an end."""

import os
import runpy
from pathlib import Path

# As in a chapter, where `book.reading` says why. Before torch is imported anywhere.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

pytest_plugins = ["pytester", "skip_rule"]


def pytest_configure() -> None:
    # By path: importing the package here would come before jaxtyping's import hook, and unchecked.
    runpy.run_path(str(Path(__file__).parents[1] / "lorabook/book/offline/sitecustomize.py"))
