"""How far a reader has come is read from her own notebooks, and from nothing else."""

import shutil
from pathlib import Path

import nbformat
import pytest

from lorabook.book.cli import main
from lorabook.book.reader_progress import Count, progress_in, progress_table
from lorabook.models.paths import notebooks_dir

CHAPTER = "01_why_low_rank"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(notebooks_dir() / f"{CHAPTER}.ipynb", tmp_path)
    return tmp_path


def read(folder: Path) -> nbformat.NotebookNode:
    """Return the reader's copy of the chapter as the cells she ran, predicted and solved would leave it."""
    notebook = nbformat.read(folder / f"{CHAPTER}.ipynb", 4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell in code[:7]:
        cell.metadata["execution"] = {"iopub.execute_input": "2026-01-01T00:00:00Z"}
    looks = [cell for cell in code if ".look_back(" in cell.source]
    looks[0].outputs[-1].data["text/plain"] = "What share?\n  you predicted 60 %; measured: 64%"
    checks = [cell for cell in code if "book.check(" in cell.source]
    checks[0].outputs[-1].data["text/plain"] = "✓ How much rank is needed?: right"
    checks[1].outputs[-1].data["text/plain"] = "✗ Extract a LoRA: the scale is missing"
    nbformat.write(notebook, folder / f"{CHAPTER}.ipynb")
    return notebook


def test_a_book_that_nobody_opened_is_not_begun(folder):
    assert not progress_in(folder / f"{CHAPTER}.ipynb").begun
    assert progress_table(folder).text.endswith("chapters are not begun.")
    assert "|" not in progress_table(folder).text


def test_what_was_run_predicted_and_solved_is_counted(folder):
    notebook = read(folder)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    chapter = progress_in(folder / f"{CHAPTER}.ipynb")
    assert chapter.ran == Count(7, len(code))
    assert chapter.predicted == Count(1, sum(".look_back(" in cell.source for cell in code))
    assert chapter.solved == Count(1, sum("book.check(" in cell.source for cell in code))
    assert f"| {chapter.title} | 7 of {len(code)} | 1 of " in progress_table(folder).text


def test_a_chapter_that_she_lacks_is_not_begun(tmp_path, capsys):
    assert main(["progress", "--folder", str(tmp_path)]) == 0
    begun, of = capsys.readouterr().out.split(" of ")
    assert begun == of.split(" ")[0]


def test_notebooks_of_her_own_are_left_alone(folder):
    (folder / "17_mine.ipynb").write_text("no notebook at all", encoding="utf-8")
    assert "not begun" in progress_table(folder).text


def test_a_damaged_chapter_is_named_with_the_next_step(folder, capsys):
    (folder / f"{CHAPTER}.ipynb").write_text('{"cells": 3}', encoding="utf-8")
    assert main(["progress", "--folder", str(folder)]) != 0
    told = capsys.readouterr().err
    assert f"{CHAPTER}.ipynb" in told
    assert "move this file away" in told
