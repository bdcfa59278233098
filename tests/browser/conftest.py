"""Fixtures for tests in a real browser: `chromium`, and `lab`, the book's server with a copy of its notebooks."""

import shutil
from collections.abc import Iterator

import pytest
from lab_page import Lab
from playwright.sync_api import Browser, sync_playwright

from lorabook.models.paths import notebooks_dir

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


# One for each module, not for the session: while Playwright's event loop runs, this process can build no notebook.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Chromium from the system; a machine without it fails these tests and is told the command that installs it."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.fail("no Chromium on this machine: run `apt-get update && apt-get install -y chromium`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def lab(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """`lorabook lab` on a copy of the chapters; a test may put notebooks of its own into `lab.root`."""
    root = tmp_path_factory.mktemp("book")
    for notebook in notebooks_dir().glob("*.ipynb"):
        shutil.copy(notebook, root)
    if not (root / "00_start.ipynb").exists():
        (root / "00_start.ipynb").write_text(
            '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}', "utf-8"
        )
    served = Lab(root, tmp_path_factory.mktemp("private"), chromium)
    yield served
    served.close()
