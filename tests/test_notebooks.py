"""Every chapter: in step with its source, executed offline, its stored outputs compared; and proof that it was."""

import json
import re
import shutil
import time
from pathlib import Path

import nbformat
import pytest
from replay import replay

from lorabook.book import build as book
from lorabook.book.outputs import text_only
from lorabook.book.refused import Refused
from lorabook.models.paths import notebooks_dir

CHAPTERS = sorted(notebooks_dir().glob("[0-9][0-9]_*.ipynb"))
SAMPLE = Path(__file__).with_name("sample_chapter.py")
CHAPTER_SECONDS = 60


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one built chapter that has one of each kind of output."""
    folder = tmp_path_factory.mktemp("sample")
    (folder / "src").mkdir()
    source = folder / "src" / "00_sample.py"
    shutil.copy(SAMPLE, source)
    book.build(source, folder)
    return folder


def copy_of(sample: Path, to: Path) -> Path:
    return Path(shutil.copytree(sample, to / "copy")) / "00_sample.ipynb"


def test_the_book_has_chapters() -> None:
    assert CHAPTERS, f"no notebooks in {notebooks_dir()}: run `lorabook build`"


def test_sources_and_notebooks_are_in_step() -> None:
    assert list(book.out_of_step(notebooks_dir())) == []


@pytest.mark.parametrize("notebook", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_runs_offline_and_prints_what_it_stores(notebook: Path) -> None:
    start = time.perf_counter()
    result = replay(notebook)
    seconds = time.perf_counter() - start
    assert result.exit_code == 0, result.text
    assert result.compared > 0, f"nothing of {notebook.name} was compared:\n{result.text}"
    print(f"{notebook.stem}: {result.compared} outputs compared in {seconds:.0f} s")


@pytest.mark.parametrize("notebook", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_is_small_and_holds_text_only(notebook: Path) -> None:
    assert notebook.stat().st_size <= book.LARGEST_KB * 1000
    read = nbformat.read(notebook, as_version=4)
    assert read.metadata == book.METADATA
    for cell in read.cells:
        if cell.cell_type == "code":
            assert cell.outputs == text_only(cell.outputs)
            assert cell.execution_count, (
                "built notebooks are executed; nbval only runs, and does not compare, what is not"
            )


def test_building_keeps_text_and_nothing_else(sample: Path) -> None:
    read = nbformat.read(sample / "00_sample.ipynb", as_version=4)
    outputs = [
        [tuple(out.get("data", {"text": out.get("text", out.get("ename"))}).values())[0] for out in cell.outputs]
        for cell in read.cells
        if cell.cell_type == "code"
    ]
    assert outputs[0] == ["tensor([0, 2, 4])"]
    assert outputs[1] == ["rank 8\n", "**16** parameters", "step\nstep\nstep\n"]
    assert outputs[2] == outputs[3] == []
    assert outputs[5:] == [["ZeroDivisionError"], ["<object at 0xADDRESS>"]]
    assert read.metadata == book.METADATA


def test_building_again_changes_nothing_but_what_is_marked(sample: Path, tmp_path: Path) -> None:
    copy = copy_of(sample, tmp_path)
    before = copy.read_text(encoding="utf-8").splitlines()
    book.build(copy.parent / "src" / "00_sample.py", copy.parent)
    after = copy.read_text(encoding="utf-8").splitlines()
    changed = [old for old, new in zip(before, after, strict=True) if old != new]
    assert len(changed) == 1
    assert changed[0].strip().strip('"').removesuffix("\\n").replace(".", "").isdigit()


def test_the_sample_replays(sample: Path) -> None:
    result = replay(sample / "00_sample.ipynb")
    assert result.exit_code == 0, result.text
    assert result.compared == 5, "prints of one cell count once"


@pytest.mark.parametrize(
    "changes",
    [
        {
            "tensor([0, 2, 4])": (0, "tensor([0, 2, 5])"),
            "**16**": (1, "**17**"),
            "division by zero": (5, "division by 1"),
        },
        {"rank 8": (1, "rank 9")},
        {"step\\nstep": (1, "step\\nstop")},
    ],
    ids=["value, markdown, error", "first print", "later print"],
)
def test_a_changed_stored_output_is_found(sample: Path, tmp_path: Path, changes: dict[str, tuple[int, str]]) -> None:
    notebook = copy_of(sample, tmp_path)
    read = nbformat.read(notebook, as_version=4)
    code = [cell for cell in read.cells if cell.cell_type == "code"]
    for stored, (index, changed) in changes.items():
        text = json.dumps(code[index].outputs)
        assert stored in text
        code[index].outputs = [nbformat.from_dict(out) for out in json.loads(text.replace(stored, changed))]
    nbformat.write(read, notebook)
    result = replay(notebook)
    assert result.exit_code == 1, result.text
    found = {int(number) for number in re.findall(r"^Cell (\d+): Cell outputs differ", result.text, re.MULTILINE)}
    assert found == {index for index, _ in changes.values()}, result.text


@pytest.mark.parametrize("notebook", CHAPTERS, ids=lambda path: path.stem)
def test_a_number_changed_in_a_chapter_would_be_found(notebook: Path, tmp_path: Path) -> None:
    """The comparison itself, without a kernel: each chapter stores a compared text with a digit in it."""
    read = nbformat.read(notebook, as_version=4)
    compared = [
        out
        for cell in read.cells
        if cell.cell_type == "code" and "nbval-ignore-output" not in cell.metadata.get("tags", [])
        for out in text_only(cell.outputs)
    ]
    assert any(character.isdigit() for out in compared for character in str(out.get("data", out.get("text"))))


def test_a_notebook_that_compares_nothing_fails(sample: Path, tmp_path: Path) -> None:
    notebook = copy_of(sample, tmp_path)
    read = nbformat.read(notebook, as_version=4)
    read.cells = [cell for cell in read.cells if "print(time" in cell.source]
    read.cells[0].source = "import time\nprint(time.time())"
    nbformat.write(read, notebook)
    result = replay(notebook)
    assert result.compared == 0
    assert result.exit_code == 1, result.text


def test_a_notebook_has_no_network(tmp_path: Path) -> None:
    source = tmp_path / "src" / "00_net.py"
    source.parent.mkdir()
    source.write_text("# %%\nimport socket\nsocket.create_connection(('192.0.2.1', 80), timeout=5)\n", encoding="utf-8")
    with pytest.raises(Refused, match="lorabook runs offline"):
        book.build(source, tmp_path)
    assert not list(tmp_path.glob("*.ipynb*"))


def test_an_edit_of_either_side_is_out_of_step(sample: Path, tmp_path: Path) -> None:
    notebook = copy_of(sample, tmp_path)
    folder, source = notebook.parent, notebook.parent / "src" / "00_sample.py"
    assert list(book.out_of_step(folder)) == []
    source.write_text(SAMPLE.read_text(encoding="utf-8").replace("arange(3)", "arange(4)"), encoding="utf-8")
    assert ["lorabook build 00_sample" in line for line in book.out_of_step(folder)] == [True]
    source.write_text(SAMPLE.read_text(encoding="utf-8").replace("nbval-ignore", "nbval-check"), encoding="utf-8")
    assert len(list(book.out_of_step(folder))) == 1, "a tag that differs counts"
    source.unlink()
    assert ["has no source" in line for line in book.out_of_step(folder)] == [True]


def test_a_chapter_that_prints_too_much_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "src" / "00_long.py"
    source.parent.mkdir()
    source.write_text("# %%\nprint('x' * 200_000)\n", encoding="utf-8")
    with pytest.raises(Refused, match=r"00_long is 20\d kB, over 150 kB"):
        book.build(source, tmp_path)
