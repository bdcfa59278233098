"""The command line: help at once, one clear line for bad input, Ctrl-C leaves nothing behind."""

import importlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
import torch
from nbformat.sign import NotebookNotary
from nbformat.v4 import new_code_cell, new_notebook, new_output

import lorabook as lb
from lorabook.book import lab, ledger, ledger_pages
from lorabook.book.chapters import chapters, find_chapter
from lorabook.book.cli import main
from lorabook.book.commands import COMMANDS
from lorabook.book.listing import proofs
from lorabook.book.refused import Refused
from lorabook.claims.catalogue import AXES
from lorabook.claims.claim import Claim, claim
from lorabook.claims.discovery import discover
from lorabook.claims.unchecked import unchecked
from lorabook.models import paths

COMMAND = [sys.executable, "-m", "lorabook"]
NAMES = [command.name for command in COMMANDS]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with four empty chapters."""
    for name in ("00_start", "01_low_rank", "02_lora", "10_qlora"):
        (tmp_path / f"{name}.ipynb").write_text(
            '{"cells": [], "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}}, '
            '"nbformat": 4, "nbformat_minor": 5}',
            encoding="utf-8",
        )
    (tmp_path / "notes.ipynb").touch()
    return tmp_path


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, **environment},
    )


def test_help_names_every_command_and_loads_no_jupyter() -> None:
    code = (
        "import sys; from lorabook.book.cli import parser; print(parser().format_help()); "
        "print([name for name in ('jupyterlab', 'jupytext', 'nbclient', 'ipywidgets') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for command in NAMES:
        assert re.search(rf"^ +{command}\s+\w", done.stdout, re.MULTILINE)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_commands_are_those_of_the_readme_and_build_for_authors() -> None:
    readers = ["lab", "doctor", "check", "list", "progress", "figures"]
    assert NAMES == [*readers, "classroom", "arena", "pretrain", "measure", "build", "site"]
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert all(f"`lorabook {name}" in readme for name in NAMES)


@pytest.mark.parametrize("command", NAMES)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    assert f"usage: lorabook {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("2", "02_lora"),
        ("02", "02_lora"),
        ("lora", "02_lora"),
        ("LoRA", "02_lora"),
        ("qlo", "10_qlora"),
        ("01_low_rank", "01_low_rank"),
        ("10_qlora.ipynb", "10_qlora"),
    ],
)
def test_a_chapter_goes_by_number_name_or_part_of_it(folder: Path, wanted: str, found: str) -> None:
    assert find_chapter(wanted, folder) == found


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("9", "there is no chapter '9'"),
        ("dora", "there is no chapter 'dora'"),
        ("r", "chapter 'r' could be any of 00_start, 01_low_rank, 02_lora, 10_qlora"),
    ],
)
def test_an_unknown_chapter_lists_the_chapters(folder: Path, wanted: str, message: str) -> None:
    done = run("lab", wanted, "--folder", str(folder))
    assert done.returncode == 2
    assert message in done.stderr
    assert "\n  02  lora\n" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_books_own_chapters_are_trusted_and_changed_ones_are_not(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    shipped, own = tmp_path / "shipped", tmp_path / "own"
    shipped.mkdir()
    drawing = new_output("display_data", {"text/html": "<svg></svg>", "text/plain": "a card"})
    for name in ("01_a", "02_b"):
        book = new_notebook(cells=[new_code_cell("card", outputs=[drawing])], metadata={"title": name})
        nbformat.write(book, shipped / f"{name}.ipynb")
    shutil.copytree(shipped, own)
    changed = nbformat.read(own / "02_b.ipynb", as_version=4)
    changed.cells[0].outputs[0].data["text/html"] = "<script>alert(1)</script>"
    nbformat.write(changed, own / "02_b.ipynb")
    lab.trust(own, shipped)
    notary = NotebookNotary()
    signed = [notary.check_signature(nbformat.read(own / f"{name}.ipynb", as_version=4)) for name in ("01_a", "02_b")]
    assert signed == [True, False]


def test_a_port_in_use_is_one_clear_line(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = run("lab", "--port", str(port), "--folder", str(folder))
    assert done.returncode == 2
    assert re.fullmatch(rf"lorabook: port {port} on 127.0.0.1 is in use .*leave --port out.*\n", done.stderr)


def test_a_port_that_is_none_is_one_clear_line(folder: Path) -> None:
    done = run("lab", "--port", "70000", "--folder", str(folder))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "70000 on 127.0.0.1 is no port" in done.stderr


def test_a_missing_data_file_names_the_file_and_the_next_step() -> None:
    with pytest.raises(FileNotFoundError, match=r"'no_such.xz' is missing from .*data: .*lorabook doctor"):
        paths.data_file("no_such.xz")


def test_a_chapter_source_that_is_not_there_lists_those_that_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", "nine", "--folder", str(tmp_path)]) == 2
    assert "no chapter source has 'nine' in its name; the sources are: none" in capsys.readouterr().err


@pytest.mark.parametrize("variables", [{}, {"DISPLAY": ""}])
def test_without_a_display_no_browser_is_tried(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert not lab.has_display()


def test_a_folder_that_cannot_be_copied_to_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(paths, "in_checkout", lambda: False)
    monkeypatch.setattr(paths, "notebooks_dir", lambda: tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / lab.OWN_COPY).write_text("a file in the way", encoding="utf-8")
    with pytest.raises(Refused, match="change to a folder of yours"):
        lab.book_folder()


@pytest.fixture
def server(folder: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`lorabook lab` on a machine without a display, and the address it printed."""
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    for name in ("CONFIG", "RUNTIME", "DATA"):
        environment[f"JUPYTER_{name}_DIR"] = str(tmp_path / name)
    process = subprocess.Popen(
        [*COMMAND, "lab", "lora", "--folder", str(folder)],
        text=True,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    with process:
        lines = [process.stdout.readline() for _ in range(3)]
        yield process, "".join(lines)
        process.kill()


def ask(url: str, path: str, data: bytes | None = None) -> object:
    base, token = re.fullmatch(r"(http://127\.0\.0\.1:\d+)/\S*\?token=(\w+)", url).groups()
    request = urllib.request.Request(f"{base}{path}", data, {"Authorization": f"token {token}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_lab_opens_the_chapter_with_a_token_and_the_books_settings_and_ctrl_c_stops_its_kernels(server) -> None:
    process, printed = server
    url = re.search(r"http://\S+", printed)[0]
    assert "/lab/tree/02_lora.ipynb?token=" in url
    assert "no browser opened here; open that address yourself" in printed
    assert ask(url, "/api/status")["kernels"] == 0
    defaults = {item["id"]: item["schema"].get("properties") for item in ask(url, "/lab/api/settings")["settings"]}
    for plugin, values in json.loads((lab.SETTINGS / "overrides.json").read_text(encoding="utf-8")).items():
        assert {name: defaults[plugin][name]["default"] for name in values} == values
    with pytest.raises(urllib.error.HTTPError, match="403"):
        ask(re.sub(r"token=\w+", "token=wrong", url), "/api/contents")

    kernel = ask(url, "/api/kernels", data=b'{"name": "python3"}')
    pid = kernel_process(kernel["id"])
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists():
            break
        time.sleep(0.1)
    assert not Path(f"/proc/{pid}").exists(), "the kernel outlived the server"


def kernel_process(kernel: str) -> int:
    """The process that runs a kernel: its connection file is named on its command line."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        if f"kernel-{kernel}.json" in entry.read_bytes().decode(errors="replace"):
            return int(entry.parent.name)
    raise AssertionError(f"no process runs kernel {kernel}")


def test_ctrl_c_while_building_stops_the_kernel_and_keeps_the_old_notebook(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "00_long.py").write_text(
        "# %%\nimport os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(600)\n", encoding="utf-8"
    )
    (tmp_path / "00_long.ipynb").write_text("old", encoding="utf-8")
    process = subprocess.Popen(
        [*COMMAND, "build", "--folder", str(tmp_path)], text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    with process:
        for _ in range(600):
            if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(encoding="utf-8"):
                break
            time.sleep(0.1)
        kernel = int((tmp_path / "pid").read_text(encoding="utf-8"))
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in complaint
    assert not Path(f"/proc/{kernel}").exists()
    assert (tmp_path / "00_long.ipynb").read_text(encoding="utf-8") == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00_long.ipynb", "pid", "src"]


def test_the_book_has_the_chapters_the_command_can_name() -> None:
    for name in chapters(paths.notebooks_dir()):
        assert find_chapter(name[:2], paths.notebooks_dir()) == find_chapter(name[3:], paths.notebooks_dir()) == name


def test_check_prints_the_ledger_of_the_claims_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "lora.form.rank_is", "--jsonl"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["claim"], line["reproduced"]) for line in lines] == [("lora.form.rank_is_at_most_r", True)]


def test_check_prints_one_json_document_or_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["check", "dp_dylora.federated_rank"]
    assert main([*asked, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert main([*asked, "--jsonl"]) == 0
    stream = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(stream) > 2
    assert any("reason" in line for line in stream), "an open statement is among them"
    timeless = [[{**line, "seconds": 0} for line in lines] for lines in (document, stream)]
    assert timeless[0] == timeless[1]
    with pytest.raises(SystemExit, match="2"):
        main([*asked, "--json", "--jsonl"])


def test_check_with_a_pattern_that_fits_nothing_is_not_green(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "no such claim"]) == 2
    assert "has 'no such claim' in its variant, name or statement" in capsys.readouterr().err


ABOUT = "arithmetic of a test"


def test_a_claim_that_fails_fails_the_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    wrong = Claim(lambda case: (torch.ones(2), torch.full((2,), 2.0)), "$1=2$", "arithmetic")
    monkeypatch.setattr(ledger, "discover", lambda: [wrong])
    assert main(["check", "--write", str(tmp_path / "ledger.md"), "--write", str(tmp_path / "ledger.json")]) == 1
    printed = capsys.readouterr().out
    assert printed.startswith("\narithmetic of a test\nFAIL holds")
    assert "Not reproduced: 1." in (tmp_path / "ledger.md").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "ledger.json").read_text(encoding="utf-8"))[0]["reproduced"] is False
    assert "fails, 1 = 2, gap 5.0e-01" in printed


def test_a_claim_that_cannot_be_computed_is_one_line_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = Claim(lambda case: (torch.ones(2) @ torch.ones(3), torch.ones(1)), "$1=2$", "arithmetic")
    right = Claim(lambda case: (torch.ones(2), torch.ones(2)), "$1=1$", "arithmetic")
    monkeypatch.setattr(ledger, "discover", lambda: [broken, right])
    assert main(["check"]) == 1
    printed = capsys.readouterr().out
    assert "could not be computed: RuntimeError" in printed
    assert "2 claims and 0 misconceptions, 1 not reproduced" in printed


def test_a_misconception_is_shown_where_its_sides_differ(capsys: pytest.CaptureFixture[str]) -> None:
    # The largest entries of both sides are 1: "1 = 1, fails" would puzzle every reader.
    assert main(["check", "false_rows_left_out_cost_nothing", "--json"]) == 0
    (said,) = json.loads(capsys.readouterr().out)
    assert said["verdict"] == "fails"
    assert abs(said["left"] - said["right"]) == pytest.approx(said["gap"])


def test_a_misconception_is_printed_with_what_holds_in_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "false_rows_left_out_cost_nothing"]) == 0
    printed = capsys.readouterr().out
    assert "instead: If the clients drew their ranks, row i of the mean" in printed
    assert "source: it would, if each row were divided" in printed


def test_an_open_statement_can_be_asked_for_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "a_million_clients"]) == 0
    printed = capsys.readouterr().out
    assert "open dp_dylora.federated_rank.a_million_clients" in printed
    assert "source: " in printed
    assert "0 claims and 0 misconceptions, 0 not reproduced; 1 statement" in printed


def test_a_list_is_a_table_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["list", "--table", "--json"])
    assert "not allowed with argument" in capsys.readouterr().err


def test_the_ledger_is_written_as_pages_with_formulas_and_no_network(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    page = tmp_path / "ledger.html"
    assert main(["check", "m_is_the_length_of_each", "--write", str(page)]) == 0
    assert "\nDoRA\n" in capsys.readouterr().out
    html = page.read_text(encoding="utf-8")
    assert "<math" in html
    assert "Often said, and false" in html
    assert "$" not in html
    assert not re.search(r"https?://(?!www\.w3\.org)", html)


def test_no_formula_of_the_book_is_left_as_latex_in_a_page() -> None:
    said = [(claim.statement, claim.when) for claim in discover()]
    said += [(open_one.statement, "") for _, open_one in unchecked().values()]
    same = {"about": "all", "kind": "not checkable here", "source": "", "reason": ""}
    assert "\\" not in ledger_pages.as_html([{**same, "statement": s, "when": w} for s, w in said])


@pytest.mark.parametrize("name", ["ledger.txt", "no/such/ledger.md", "folder.md"])
def test_a_ledger_that_cannot_be_written_is_refused_before_any_work(name, tmp_path, capsys) -> None:
    (tmp_path / "folder.md").mkdir()
    assert main(["check", "dora", "--write", str(tmp_path / name)]) == 2
    assert "cannot write the ledger" in capsys.readouterr().err


def test_list_shows_each_variant_under_its_axis_as_people_write_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 0
    by_axis = json.loads(capsys.readouterr().out)
    assert list(by_axis) == [*AXES, "baselines"]
    every = {variant["name"]: variant for own in by_axis.values() for variant in own}
    assert set(every) == set(proofs())
    assert {"S-LoRA", "LoRAHub", "LoRA-drop", "QDoRA", "QPiSSA", "DP-DyLoRA", "O-LoRA"} <= set(every)
    assert "DP-DyLoRA" in [variant["name"] for variant in by_axis["many"]]
    assert every["DoRA"]["changes"] == "form"
    assert all(variant["about"] for variant in every.values())


def test_every_call_in_the_list_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 0
    for own in json.loads(capsys.readouterr().out).values():
        for variant in own:
            if "lorabook." in variant["call"]:
                module, _, name = variant["call"].rpartition(".")
                called = getattr(importlib.import_module(module), name)
            else:
                # Recipes that are made by a function of their own: each by itself. LongLoRA's needs its group.
                called = eval(variant["call"].replace("LongLoRA()", "LongLoRA(8)"), {"lb": lb})
            for made in called if isinstance(called, tuple) else (called,):
                assert callable(made) or isinstance(made, lb.Recipe)
                if isinstance(made, lb.Recipe) and made.names:
                    name = variant["name"]
                    assert made.label == {"QDoRA": "DoRA | QLoRA", "QPiSSA": "PiSSA | QLoRA"}.get(name, name)


def test_in_the_list_every_variant_is_one_line_and_a_long_name_is_apart_from_its_text(capsys) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line[2:] for line in lines if line.startswith("  ")]
    width = 2 + max(map(len, proofs()))
    assert [name[:width].rstrip() for name in names] == [name for _, name in sorted(_axis_and_name())]
    assert all(name[width - 1] == " " != name[width] for name in names), "the texts stand one below the other"


def _axis_and_name() -> list[tuple[tuple[int, int], str]]:
    order = [*AXES, "baselines"]
    return [((order.index(proof["axis"]), k), name) for k, (name, proof) in enumerate(proofs().items())]


@pytest.mark.parametrize(("typed", "title"), [("dora", "DoRA"), ("s-lora", "S-LoRA"), ("lorafa", "LoRA-FA"),
    ("LoRA+", "LoRA+"), ("lora_plus", "LoRA+"), ("orthogonallora", "O-LoRA")])  # fmt: skip
def test_one_variant_is_listed_whole(typed: str, title: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", typed]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == title
    proof, printed = proofs()[title], dict(re.findall(r"^  (\S.*?)  +(\S.*)$", "\n".join(lines[2:]), re.MULTILINE))
    assert (printed["axis"], printed["agrees with"]) == (proof["axis"], proof["oracle"])
    assert printed["trains"] == proof["parameters"]
    assert re.match(r"\d\d · ", printed["chapter"])
    assert sum(line.startswith("  ✓") for line in lines) == int(proof["claims"])
    assert sum(line.startswith("  ✗") for line in lines) == int(proof["misconceptions"])
    assert not any("$" in line or "\\" in line for line in lines), "formulas are in Unicode"


def test_a_variant_that_is_not_there_is_refused_with_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "lore"]) == 2
    assert "no variant 'lore'; the variants are LoRA, DoRA" in capsys.readouterr().err


def test_claims_are_checked_in_one_thread_and_the_others_are_given_back() -> None:
    before, inside = torch.get_num_threads(), []

    @claim(statement="$1=1$", source="arithmetic")
    def one_is_one(case):
        inside.append(torch.get_num_threads())
        return torch.ones(1), torch.ones(1)

    @claim(statement="$1=1$", source="arithmetic")
    def cannot_be_computed(case):
        raise ZeroDivisionError

    assert ledger.checked(one_is_one)["reproduced"]
    assert not ledger.checked(cannot_be_computed)["reproduced"]
    assert set(inside) == {1}
    assert torch.get_num_threads() == before
