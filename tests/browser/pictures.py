"""Take the pictures in figures/ that show the book at work, from a real JupyterLab.

    python tests/browser/pictures.py

README's picture: the training explorer after two runs, beside the recorded ones. Not a test.
"""

import shutil
import tempfile
from pathlib import Path

import nbformat
from conftest import FLAGS
from lab_page import Lab, Opened
from playwright.sync_api import sync_playwright

from lorabook.book.build import METADATA

FIGURES = Path(__file__).parents[2] / "figures"
CELL = "from lorabook.book.explore.training import training_explorer\ntraining_explorer('DoRA')"
FRAME = ".lb-explorer[data-view='training']"
RUNS = (("DoRA", "all seven"), ("LoRA", "q, v"))


def train(page: Opened, variant: str, targets: str) -> None:
    """Choose, press Train, and wait for the end."""
    page.page.evaluate("css => { document.querySelector(css).open = true; }", f"{FRAME} .lb-more")
    page.locator(f"{FRAME} select[name='variant']").select_option(variant)
    page.locator(f"{FRAME} select[name='targets']").select_option(targets)
    page.locator(f"{FRAME} button[data-do='start']").click()
    page.locator(f"{FRAME} button[data-do='stop']:not([disabled])").wait_for()
    page.locator(f"{FRAME} button[data-do='start']:not([disabled])").wait_for(timeout=300_000)


def main() -> None:
    FIGURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        root = Path(folder) / "book"
        root.mkdir()
        notebook = nbformat.v4.new_notebook(metadata=nbformat.from_dict(METADATA))
        notebook.cells = [nbformat.v4.new_code_cell(CELL)]
        for name in ("00_start", "training"):
            nbformat.write(notebook, root / f"{name}.ipynb")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        lab = Lab(root, Path(folder) / "private", browser)
        page = lab.open("training", height=1200)
        page.run_all()
        page.locator(f"{FRAME} .lb-more summary").click()
        for variant, targets in RUNS:
            train(page, variant, targets)
        page.page.evaluate("css => { document.querySelector(css).open = false; }", f"{FRAME} .lb-more")
        page.page.wait_for_timeout(1000)
        page.locator(FRAME).screenshot(path=FIGURES / "training-explorer.png")
        page.close()
        lab.close()
        browser.close()


if __name__ == "__main__":
    main()
