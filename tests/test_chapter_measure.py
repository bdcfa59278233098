"""The measure at work: what a build says of a chapter that is too long; and every chapter is inside its own."""

import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from test_measure import the_head

from lorabook.book import build, chapters, head
from lorabook.book.cli import main
from lorabook.book.landscape import DECIDES
from lorabook.book.listing import proofs
from lorabook.book.measure import measure, unfolded_cells
from lorabook.book.measure_report import explorers
from lorabook.book.prose import CODE_BLOCK, headings, unfolded
from lorabook.book.refused import Refused
from lorabook.book.tiers import SHORT, TIERS
from lorabook.book.timing import waits
from lorabook.models.paths import notebooks_dir

NAMES = chapters.chapters(notebooks_dir())


def source_of(folder: Path, exercise: str, name: str = "99_a") -> Path:
    text = the_head(SHORT, 10).replace("\n", "\n# ")
    show = f"from IPython.display import Markdown\ndef show(text): return Markdown(text)\nshow('{exercise}')"
    source = folder / "src" / f"{name}.py"
    source.parent.mkdir(exist_ok=True)
    source.write_text(f"# %% [markdown]\n# {text}\n\n# %%\n{show}\n\n# %%\nimport time\n\ntime.sleep(5.1)\n", "utf-8")
    return source


@pytest.mark.parametrize(("minutes", "warned", "refused"), [(8, False, False), (11, True, False), (13, True, True)])
def test_a_build_warns_above_the_stated_minutes_and_fails_a_quarter_above(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], minutes: int, warned: bool, refused: bool
) -> None:
    source_of(tmp_path, f"about {minutes} minutes")
    assert main(["build", "--folder", str(tmp_path)]) == (2 if refused else 0)
    said = capsys.readouterr()
    assert ("✗ minutes" in said.out) == warned
    assert ("99 · A title takes" in said.err) == refused
    assert (tmp_path / "99_a.ipynb").exists(), "what is too long is written, to be looked at"
    assert "cell 2 (import time) ran 5 s without a bar" in said.out
    assert main(["measure", "99", "--folder", str(tmp_path)]) == int(warned)


def test_a_chapter_without_a_head_is_built_by_no_command(tmp_path: Path) -> None:
    source = source_of(tmp_path, "about 5 minutes")
    source.write_text("# %% [markdown]\n# # A title\n", "utf-8")
    with pytest.raises(Refused, match="99_a cannot be measured: the first cell starts '# A title'"):
        build.build_chapters(tmp_path, "")


def test_a_slow_cell_with_a_bar_is_no_wait() -> None:
    cell = new_code_cell("work()", outputs=[new_output("stream", name="stderr", text="100%|████| 3/3 [00:06<00:00]")])
    cell.metadata["execution"] = {
        "iopub.execute_input": "2026-01-01T00:00:00.000Z",
        "shell.execute_reply": "2026-01-01T00:00:06.000Z",
    }
    assert waits(new_notebook(cells=[cell])) == []
    cell.outputs = []
    assert waits(new_notebook(cells=[cell])) == ["cell 0 (work()) ran 6 s without a bar: book.progress(…) shows one"]


# The book's own chapters


@pytest.mark.parametrize("name", NAMES)
def test_a_chapter_is_inside_its_measure(name: str) -> None:
    found = measure(nbformat.read(notebooks_dir() / f"{name}.ipynb", as_version=4), explorers())
    assert found.faults() == []


def outputs(name: str) -> list[tuple[str, str]]:
    """The source of each code cell with one of its stored texts, folds and code left out."""
    told = []
    for cell in nbformat.read(notebooks_dir() / f"{name}.ipynb", as_version=4).cells:
        for out in cell.get("outputs", ()):
            data = out.get("data", out)
            text = data.get("text/markdown", data.get("text/plain", data.get("text", "")))
            told.append((cell.source, CODE_BLOCK.sub("", unfolded(text))))
    return told


@pytest.mark.parametrize("name", NAMES)
def test_what_is_folded_at_the_end_stays_folded(name: str) -> None:
    """Running all, Lab ends on the last cell; where that is code or bears a heading, it opens the fold around it."""
    cells = nbformat.read(notebooks_dir() / f"{name}.ipynb", as_version=4).cells
    last = cells[-1]
    if last is not unfolded_cells(cells)[-1]:
        assert last.cell_type == "markdown", last.source
        assert headings(last.source) == [], last.source


@pytest.mark.parametrize("name", NAMES)
def test_no_stored_output_tells_the_answer_of_a_prediction(name: str) -> None:
    told = [text for source, text in outputs(name) if ".look_back(" in source]
    assert told
    assert not any("Measured" in text for text in told)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_cell_decides_is_a_sentence_and_no_bare_truth(name: str) -> None:
    assert not [text for _, text in outputs(name) if re.search(r"\b(True|False)\b", text)]


@pytest.mark.parametrize("name", NAMES)
def test_a_chapter_names_an_axis_and_variants_that_exist(name: str) -> None:
    said = head.read_head(notebooks_dir() / f"{name}.ipynb")
    assert said.tier in TIERS.values()
    assert said.axis in {"", *(axis for axis, *_ in DECIDES.values())}
    assert set(said.teaches) <= set(proofs()), "as `lorabook list --table` writes them"


def test_a_variant_is_taught_once_and_opens_its_chapter() -> None:
    taught = [(variant, name) for name, said in head.heads(notebooks_dir()) for variant in said.teaches]
    assert len({variant for variant, _ in taught}) == len(taught)
    for variant, name in taught:
        assert chapters.find_chapter(variant, notebooks_dir()) == name


def test_every_explorer_of_the_chapters_is_counted_with_its_controls() -> None:
    assert explorers()["spectrum"] == 4
    assert "predict" not in explorers()
