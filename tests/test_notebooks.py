"""Every chapter: in step with its source, executed offline, its stored outputs compared; and proof that it was."""

import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image
from replay import Replay, compared, replay

from lorabook.book import build as book
from lorabook.book.outputs import compact, kept
from lorabook.book.refused import Refused
from lorabook.models.paths import notebooks_dir

CHAPTERS = sorted(notebooks_dir().glob("[0-9][0-9]_*.ipynb"))
SAMPLE = Path(__file__).with_name("sample_chapter.py")


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


@pytest.fixture(scope="module")
def replays(request: pytest.FixtureRequest) -> Iterator[dict[Path, Future[Replay]]]:
    """The replays of the chapters that were asked for, as many at once as there are processors: each has one thread."""
    asked = [item for item in request.session.items if "replays" in getattr(item, "fixturenames", ())]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {path: pool.submit(replay, path) for path in (item.callspec.params["notebook"] for item in asked)}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("notebook", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_runs_offline_and_prints_what_it_stores(notebook: Path, replays: dict[Path, Future[Replay]]) -> None:
    result = replays[notebook].result()
    assert result.exit_code == 0, result.text
    print(f"{notebook.stem}: {len(compared(notebook))} texts compared in {result.seconds:.0f} s")


@pytest.mark.parametrize("notebook", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_is_small_and_holds_what_a_build_keeps(notebook: Path) -> None:
    assert notebook.stat().st_size <= book.LARGEST_KB * 1000
    read = nbformat.read(notebook, as_version=4)
    assert read.metadata == book.METADATA
    for cell in read.cells:
        if cell.cell_type == "code":
            assert cell.outputs == kept(cell)
            assert cell.execution_count, (
                "built notebooks are executed; nbval only runs, and does not compare, what is not"
            )


def shown(notebook: Path) -> list[list[dict[str, str]]]:
    """What each code cell of a notebook shows, by its kind."""
    cells = nbformat.read(notebook, as_version=4).cells
    return [
        [
            dict(out.data) if "data" in out else {out.get("name", "error"): out.get("text") or out.traceback[0]}
            for out in cell.outputs
        ]
        for cell in cells
        if cell.cell_type == "code"
    ]


def test_building_keeps_texts_and_pictures_and_no_widget(sample: Path) -> None:
    result, printed, slider, figure, _, error, varying = shown(sample / "00_sample.ipynb")
    assert result == [{"text/plain": "tensor([0, 2, 4])"}]
    assert printed[0] == {"stdout": "rank 8\n"}
    assert printed[1]["text/markdown"] == "**16** parameters"
    assert printed[2]["text/html"] == "<b>kept too</b>"
    assert printed[4] == {"stdout": "step\nstep\nstep\n"}
    assert slider == [{"text/plain": "a slider"}]
    assert set(figure[0]) == {"text/plain", "image/png"}
    assert error == [{"error": "ZeroDivisionError: division by zero"}]
    assert [set(output) for output in varying] == [{"text/plain"}], "the bar of a cell that is not compared is gone"
    assert nbformat.read(sample / "00_sample.ipynb", as_version=4).metadata == book.METADATA


def test_a_picture_is_kept_small_and_looks_the_same() -> None:
    drawn = Image.effect_mandelbrot((300, 200), (-2, -1, 1, 1), 50).convert("RGBA")
    drawn.putalpha(Image.linear_gradient("L").resize(drawn.size))
    buffer = io.BytesIO()
    drawn.save(buffer, format="png")
    large = base64.b64encode(buffer.getvalue()).decode()
    small = compact(large)
    assert len(small) < 0.8 * len(large)
    assert compact(small) == small, "a built notebook is its own build"
    looks = Image.open(io.BytesIO(base64.b64decode(small))).convert("RGBA")
    assert looks.size == drawn.size
    apart = np.abs(np.asarray(looks, float) - np.asarray(drawn, float))
    assert apart.mean() < 8


def test_a_drawing_is_kept_as_a_picture_of_pixels_too(tmp_path: Path) -> None:
    source = tmp_path / "src" / "00_drawn.py"
    source.parent.mkdir()
    source.write_text("# %%\nfrom lorabook.book.figures.diagrams.lora import draw\n\ndraw()\n", encoding="utf-8")
    notebook = book.build(source, tmp_path)
    (drawn,) = shown(notebook)[0]
    assert set(drawn) == {"text/plain", "text/html", "image/svg+xml", "image/png"}
    picture = Image.open(io.BytesIO(base64.b64decode(drawn["image/png"])))
    words = np.asarray(picture.convert("RGBA").convert("L").crop((34, 22, 840, 56)))
    assert (words < 128).mean() > 0.05, "the title is written: the font was found"
    assert replay(notebook).exit_code == 0, "a run has no such picture, and nbval does not ask for it"


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("object()", r"shows <object at 0x\w+>, which is different on every run"),
        ("import warnings\nwarnings.warn('mind the gap')", "a cell warns.*mind the gap"),
    ],
    ids=["address", "warning"],
)
def test_what_no_other_run_would_show_is_refused(tmp_path: Path, cell: str, says: str) -> None:
    source = tmp_path / "src" / "00_varies.py"
    source.parent.mkdir()
    source.write_text(f"# %%\n{cell}\n", encoding="utf-8")
    with pytest.raises(Refused, match=re.compile(says, re.DOTALL)):
        book.build(source, tmp_path)
    source.write_text(f'# %% tags=["nbval-ignore-output"]\n{cell}\n', encoding="utf-8")
    book.build(source, tmp_path)


def test_building_again_changes_nothing_but_what_is_marked(sample: Path, tmp_path: Path) -> None:
    copy = copy_of(sample, tmp_path)
    before = copy.read_text(encoding="utf-8").splitlines()
    book.build(copy.parent / "src" / "00_sample.py", copy.parent)
    after = copy.read_text(encoding="utf-8").splitlines()
    changed = [old for old, new in zip(before, after, strict=True) if old != new]
    assert len(changed) == 2, "the time and the address, each in a cell that is not compared"


def test_the_sample_replays(sample: Path) -> None:
    result = replay(sample / "00_sample.ipynb")
    assert result.exit_code == 0, result.text


@pytest.mark.parametrize(
    "command",
    [
        ["pytest", "--nbval", "."],
        ["pytest", "--nbval-lax", "."],
        ["nbconvert", "--execute", "--to", "notebook", "--output", "run.ipynb", "00_sample.ipynb"],
    ],
    ids=" ".join,
)
def test_the_sample_runs_as_other_people_type_it(sample: Path, tmp_path: Path, command: list[str]) -> None:
    folder = copy_of(sample, tmp_path).parent
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


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
def test_a_chapter_has_something_to_compare(notebook: Path) -> None:
    """A number in a text that nbval compares; which texts these are, the test of changed outputs shows."""
    assert any(character.isdigit() for text in compared(notebook) for character in text)


def test_what_is_tagged_or_was_not_run_is_not_counted_as_compared(sample: Path, tmp_path: Path) -> None:
    notebook = copy_of(sample, tmp_path)
    assert "tensor([0, 2, 4])" in compared(notebook)
    assert not any("object at" in text for text in compared(notebook))
    read = nbformat.read(notebook, as_version=4)
    for cell in read.cells:
        cell.execution_count = None
    nbformat.write(read, notebook)
    assert compared(notebook) == []


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
    source.write_text("# %%\nprint('x' * 500_000)\n", encoding="utf-8")
    with pytest.raises(Refused, match=r"00_long is 50\d kB, over 400 kB"):
        book.build(source, tmp_path)
