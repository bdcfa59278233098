"""A reader's copy after an upgrade: her work stays, what she never touched is renewed, what is newer is named."""

import json
from pathlib import Path

import pytest

from lorabook.book import editions, lab
from lorabook.book.cli import main
from lorabook.book.doctor import NOTE, OK, own_copy
from lorabook.book.refused import Refused
from lorabook.models import paths


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The first edition of a book of three pages, installed; the reader's folder is the current one."""
    folder = tmp_path / "installed"
    folder.mkdir()
    for name in ("00_start.ipynb", "02_lora.ipynb", "symbols.md"):
        (folder / name).write_text(f"{name}, first edition", encoding="utf-8")
    monkeypatch.setattr(paths, "in_checkout", lambda: False)
    monkeypatch.setattr(paths, "notebooks_dir", lambda: folder)
    monkeypatch.chdir(tmp_path)
    return folder


def upgrade(shipped: Path) -> None:
    for page in editions.pages(shipped):
        page.write_text(f"{page.name}, second edition", encoding="utf-8")
    (shipped / "03_where.ipynb").write_text("new in the second", encoding="utf-8")


def test_work_stays_and_what_nobody_touched_is_renewed(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = lab.book_folder()
    assert "3 new" in capsys.readouterr().out
    (mine / "02_lora.ipynb").write_text("my answers", encoding="utf-8")
    upgrade(shipped)
    assert lab.book_folder() == mine
    assert (mine / "02_lora.ipynb").read_text(encoding="utf-8") == "my answers"
    assert (mine / "00_start.ipynb").read_text(encoding="utf-8") == "00_start.ipynb, second edition"
    assert (mine / "03_where.ipynb").is_file()
    printed = capsys.readouterr().out
    assert "3 new, your work is untouched" in printed
    assert "1 that you worked in have a newer edition: 02_lora.ipynb" in printed
    (finding,) = own_copy()
    assert (finding.verdict, finding.detail) == (NOTE, "newer editions: 02_lora.ipynb")


def test_the_newer_edition_can_be_put_beside_the_work(shipped: Path) -> None:
    mine = lab.book_folder()
    (mine / "02_lora.ipynb").write_text("my answers", encoding="utf-8")
    upgrade(shipped)
    assert lab.put_new_editions_beside() == mine
    beside = mine / editions.BESIDE / "02_lora.ipynb"
    assert beside.read_text(encoding="utf-8") == "02_lora.ipynb, second edition"
    assert [path.name for path in beside.parent.iterdir()] == ["02_lora.ipynb"]
    assert (mine / "02_lora.ipynb").read_text(encoding="utf-8") == "my answers"


def test_work_in_this_edition_is_not_called_old(shipped: Path) -> None:
    mine = lab.book_folder()
    (mine / "02_lora.ipynb").write_text("my answers", encoding="utf-8")
    lab.book_folder()
    assert editions.newer(shipped, mine) == []
    (finding,) = own_copy()
    assert finding.verdict == OK


def test_a_page_that_was_taken_away_comes_back(shipped: Path) -> None:
    mine = lab.book_folder()
    (mine / "02_lora.ipynb").unlink()
    lab.book_folder()
    assert (mine / "02_lora.ipynb").read_text(encoding="utf-8") == "02_lora.ipynb, first edition"


@pytest.mark.parametrize("record", ["", "[1]", "{", None])
def test_a_copy_without_a_good_record_loses_nothing(shipped: Path, record: str | None) -> None:
    mine = lab.book_folder()
    (mine / "02_lora.ipynb").write_text("my answers", encoding="utf-8")
    if record is None:
        (mine / editions.RECORD).unlink()
    else:
        (mine / editions.RECORD).write_text(record, encoding="utf-8")
    upgrade(shipped)
    lab.book_folder()
    assert (mine / "02_lora.ipynb").read_text(encoding="utf-8") == "my answers"
    # Nobody knows any more whether these were worked in: they stay, and are named.
    assert (mine / "00_start.ipynb").read_text(encoding="utf-8") == "00_start.ipynb, first edition"
    assert editions.newer(shipped, mine) == ["00_start.ipynb", "02_lora.ipynb", "symbols.md"]
    assert "03_where.ipynb" in json.loads((mine / editions.RECORD).read_text(encoding="utf-8"))


def test_without_a_copy_or_in_a_checkout_it_says_so(shipped: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    with pytest.raises(Refused, match="there is no copy of the book"):
        lab.put_new_editions_beside()
    monkeypatch.setattr(paths, "in_checkout", lambda: True)
    assert main(["lab", "--new-editions", "--no-browser"]) == 2
    assert "its chapters are those of this edition" in capsys.readouterr().err
