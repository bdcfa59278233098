"""A saved copy, opened again without the kernel that made it: nothing is missing, and what can live is alive."""

from dataclasses import asdict

import nbformat
import pytest
from lab_page import IDLE, READY_MS, Lab, Opened

from lorabook.book.build import METADATA
from lorabook.book.explore.memory import State
from lorabook.book.explore.state import folded_names

pytestmark = pytest.mark.browser

CELLS = {
    "predict": """
from lorabook.book import reading as book
guess = book.predict("How many?", book.Steps("number", (1, 2, 5, 10)))
guess""",
    "codebook": """
import torch
book.codebook(torch.Generator().manual_seed(0))""",
    "memory": "book.memory_calculator()",
    "spectrum": """
draw = torch.Generator().manual_seed(0)
up, down = torch.randn(32, 24, generator=draw), torch.randn(24, 32, generator=draw)
book.spectrum({("a job", 0, "up"): up, ("a job", 0, "down"): down}, draw)""",
    "bars": """
from tqdm.auto import tqdm
for _ in tqdm(range(3)):
    pass
for _ in tqdm(range(3), leave=False):
    pass""",
}
SAVE = "async () => { await window.jupyterapp.commands.execute('docmanager:save'); }"
RESTART = "async () => { await window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart(); }"
PICTURE = ".jp-OutputArea-output .jp-RenderedImage img"


def frame(name: str) -> str:
    return f".lb-explorer[data-view='{name}']"


def names(page: Opened, name: str) -> list[str]:
    """Return the names of an explorer's controls as they stand on the page."""
    return page.locator(frame(name)).locator("[name]").evaluate_all("all => all.map(control => control.name)")


def title(page: Opened, name: str, text: str) -> None:
    """Wait until an explorer's sentence has `text` in it."""
    page.locator(f"{frame(name)} .lb-title").filter(has_text=text).wait_for()


def run_and_move(lab: Lab, name: str) -> Opened:
    """Run the cells, answer the prediction, and move two explorers."""
    notebook = nbformat.v4.new_notebook(metadata=nbformat.from_dict(METADATA))
    notebook.cells = [nbformat.v4.new_code_cell(source.strip()) for source in CELLS.values()]
    nbformat.write(notebook, lab.root / f"{name}.ipynb")
    page = lab.open(name, height=1400)
    page.run_all()
    page.press(".lb-predict input", "End")
    page.locator(".lb-answered").filter(has_text="Kept").wait_for()
    page.press(f"{frame('codebook')} input[name='outlier']", "End")
    page.locator(f"{frame('memory')} .lb-more summary").click()
    page.press(f"{frame('memory')} input[name='r']", "End")
    title(page, "memory", "LoRA of 7B needs 28.3 GiB")
    return page


def save_and_close(page: Opened) -> None:
    page.page.evaluate(SAVE)
    page.close()


def assert_nothing_is_missing(page: Opened) -> None:
    """Lab looks for a widget's model for two seconds before it says that there is none."""
    page.page.wait_for_timeout(4000)
    assert page.page.get_by_text("Error displaying widget").count() == 0
    assert page.errors() == []


def test_a_saved_copy_shows_what_was_left_and_lives_where_it_can(lab: Lab) -> None:
    save_and_close(run_and_move(lab, "93_saved"))
    copy = lab.open("93_saved", height=1400)
    copy.locator(".js-plotly-plot").wait_for()
    assert_nothing_is_missing(copy)
    copy.screenshot("saved-copy")

    assert copy.locator(".lb-predict output").inner_text() == "10"
    assert "does not answer" in copy.locator(".lb-answered").inner_text()
    title(copy, "memory", "LoRA of 7B needs 28.3 GiB")
    assert "does not answer" in copy.locator(f"{frame('memory')} .lb-status").inner_text()
    assert copy.locator(f"{frame('memory')} input[name='r']").is_disabled()
    title(copy, "codebook", "One weight of 8σ")
    declared = sorted(asdict(State()), key=lambda name: name in folded_names(State))
    assert names(copy, "memory") == declared, "a notebook file sorts the keys of an object"
    copy.press(f"{frame('codebook')} input[name='outlier']", "Home")
    title(copy, "codebook", "Without an outlier")
    copy.press(f"{frame('spectrum')} input[name='r']", "Home")
    title(copy, "spectrum", "Rank 1 keeps")

    # Another server than the book's has no plotly to give, and here no kernel has one.
    copy.page.route("**/static/plotly.min.js", lambda route: route.abort())
    copy.page.reload()
    copy.page.wait_for_function(IDLE, timeout=READY_MS)
    copy.locator(f".jp-OutputArea-output:has({frame('spectrum')}) .jp-RenderedImage img").wait_for()
    copy.close()


def test_a_copy_saved_after_its_kernel_was_restarted_shows_pictures_and_questions(lab: Lab) -> None:
    page = run_and_move(lab, "94_restarted")
    page.page.evaluate(RESTART)
    page.page.wait_for_function(IDLE)
    save_and_close(page)
    copy = lab.open("94_restarted", height=1400)
    copy.locator(PICTURE).wait_for()
    assert_nothing_is_missing(copy)
    copy.screenshot("saved-copy-restarted")
    assert copy.page.locator(PICTURE).count() == 3
    assert "Predict: How many?" in copy.locator(".jp-RenderedMarkdown >> nth=0").inner_text()
    copy.close()
