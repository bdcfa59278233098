"""`lorabook doctor` finds what is broken, says what to do, and outlives it."""

import hashlib
import json
from pathlib import Path

import pytest

from lorabook.book import doctor
from lorabook.book.cli import main
from lorabook.models import paths


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with one file and its hash."""
    (tmp_path / "a.txt").write_bytes(b"whole")
    (tmp_path / "SHA256SUMS").write_text(f"{hashlib.sha256(b'whole').hexdigest()}  a.txt\n", encoding="utf-8")
    monkeypatch.setattr(paths, "data_dir", lambda: tmp_path)
    return tmp_path


def test_this_environment_has_what_the_book_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0, capsys.readouterr().out
    printed = capsys.readouterr().out
    assert "Everything the book needs is here." in printed
    assert "PROBLEM" not in printed


def test_a_whole_data_file_is_shown_with_size_and_hash(data: Path) -> None:
    (finding,) = doctor.data()
    assert (finding.what, finding.verdict) == ("data/a.txt", "ok")
    assert finding.detail == f"5 bytes, sha256 {hashlib.sha256(b'whole').hexdigest()[:12]}"


@pytest.mark.parametrize("content", [b"wholf", b"", None])
def test_a_changed_empty_or_missing_data_file_is_a_problem_with_a_remedy(data: Path, content: bytes | None) -> None:
    (data / "a.txt").unlink() if content is None else (data / "a.txt").write_bytes(content)
    (finding,) = doctor.data()
    assert finding.verdict == "PROBLEM"
    assert "restore data/a.txt" in finding.advice


def test_a_kernel_of_another_python_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "kernels" / "python3"
    folder.mkdir(parents=True)
    command = {"argv": ["/elsewhere/bin/python", "-m", "ipykernel_launcher"], "display_name": "x", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(command), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    (finding,) = doctor.kernel()
    assert (finding.verdict, finding.detail) == ("PROBLEM", "/elsewhere/bin/python")
    assert "ipykernel install --sys-prefix" in finding.advice


def test_a_disabled_widget_extension_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "labconfig").mkdir()
    disabled = {"disabledExtensions": {"anywidget": True}}
    (tmp_path / "labconfig" / "page_config.json").write_text(json.dumps(disabled), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path))
    findings = {finding.what: finding for finding in doctor.lab_extensions()}
    assert findings["Lab extension anywidget"].detail == "disabled"
    assert "jupyter labextension enable anywidget" in findings["Lab extension anywidget"].advice
    assert findings["Lab extension @jupyter-widgets/jupyterlab-manager"].verdict == "ok"


def test_a_check_that_cannot_run_is_a_finding_and_the_exit_status_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken():
        raise OSError("disk on fire")
        yield

    monkeypatch.setattr(doctor, "CHECKS", (doctor.python, broken))
    assert doctor.report() == 1
    printed = capsys.readouterr().out
    assert "PROBLEM broken" in printed
    assert "OSError: disk on fire" in printed
    assert printed.endswith("1 problem found\n")
