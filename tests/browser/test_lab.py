"""The harness itself, on the sample chapter: what the chapters' own browser tests rely on."""

from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from lab_page import Lab, Opened, percentile

from lorabook.book.build import read_source

pytestmark = pytest.mark.browser
SLIDER = "#sample-rank"
SAMPLE = Path(__file__).parents[1] / "sample_chapter.py"


@pytest.fixture(scope="module")
def sample(lab: Lab) -> Iterator[Opened]:
    nbformat.write(read_source(SAMPLE), lab.root / "90_sample.ipynb")
    opened = lab.open("90_sample")
    opened.run_all()
    yield opened
    opened.close()


def test_a_chapter_runs_in_lab_and_asks_nothing_of_the_network(sample: Opened) -> None:
    assert sample.errors() == []
    assert sample.locator(".jp-RenderedMarkdown strong").inner_text() == "16"


def test_the_keyboard_reaches_a_widget_the_kernel_answers_and_it_is_painted_soon(sample: Opened) -> None:
    output = f".jp-OutputArea-child:has({SLIDER})"
    sample.press(SLIDER, "Home")
    sample.locator(f"{output} output:text-is('r = 1')").wait_for()
    times = sample.latencies(SLIDER, output, ["ArrowRight"] * 12)
    sample.locator(f"{output} output:text-is('r = 13')").wait_for()
    print(f"key press to paint through the kernel: {percentile(times, 0.5):.0f} ms, p95 {percentile(times, 0.95):.0f}")
    assert percentile(times, 0.5) < 250, times


def test_a_key_that_changes_nothing_is_noticed(sample: Opened) -> None:
    sample.press(SLIDER, "End")
    sample.locator("output:text-is('r = 32')").wait_for()
    with pytest.raises(AssertionError, match="changed nothing"):
        sample.latencies(SLIDER, f".jp-OutputArea-child:has({SLIDER})", ["ArrowRight"])


def test_both_themes_can_be_looked_at(sample: Opened) -> None:
    for name in ("dark", "light"):
        sample.theme(name)
        picture = sample.screenshot(f"sample-{name}", f".jp-Cell:has({SLIDER})")
        assert picture.read_bytes().startswith(b"\x89PNG")
    assert sample.screenshot("sample").stat().st_size > 10_000


def test_no_news_pop_up_and_no_kernel_question_stand_in_the_way(sample: Opened) -> None:
    assert sample.page.locator(".Toastify__toast").count() == 0
    assert sample.page.locator(".jp-Dialog").count() == 0


def test_lines_of_a_shown_source_break_between_words(lab: Lab) -> None:
    notebook = nbformat.v4.new_notebook(metadata=read_source(SAMPLE).metadata)
    lines = "from lorabook.book import reading as book", "from lorabook.core.lora import LoRA", "book.source(LoRA)"
    notebook.cells = [nbformat.v4.new_code_cell("\n".join(lines))]
    nbformat.write(notebook, lab.root / "92_source.ipynb")
    page = lab.open("92_source")
    page.run_all()
    breaks = page.locator(".jp-OutputArea-output pre code").evaluate("code => getComputedStyle(code).wordBreak")
    page.close()
    assert breaks == "normal"


def test_a_cell_that_fails_is_reported(lab: Lab) -> None:
    notebook = nbformat.v4.new_notebook(metadata=read_source(SAMPLE).metadata)
    notebook.cells = [nbformat.v4.new_code_cell("1 / 0")]
    nbformat.write(notebook, lab.root / "91_broken.ipynb")
    opened = lab.open("91_broken")
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        opened.run_all()
    opened.close()
