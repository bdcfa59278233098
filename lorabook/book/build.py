"""The chapters as people open them: `notebooks/src/NN_name.py`, the source, → `notebooks/NN_name.ipynb`, executed."""

import asyncio
import contextlib
import hashlib
import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import jupytext
import nbformat
from jupytext.compare import NotebookDifference, compare_notebooks
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from lorabook.book import offline
from lorabook.book.classroom.solutions import cut
from lorabook.book.measure import Measure
from lorabook.book.measure_report import keep_measure
from lorabook.book.outputs import kept
from lorabook.book.refused import Refused
from lorabook.core.whole_file import replace_whole

LARGEST_KB = 400
CELL_SECONDS = 300
METADATA = {
    "kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"},
    "language_info": {"name": "python"},
}


def read_source(source: Path) -> NotebookNode:
    """Return the notebook a percent script describes: no outputs, solutions cut, cell ids that follow from content."""
    notebook = jupytext.read(source, fmt="py:percent")
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for index, cell in enumerate(notebook.cells):
        cell.source = cut(cell.source)
        cell.id = hashlib.sha256(f"{index}\n{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
    return notebook


def run(notebook: NotebookNode, folder: Path) -> None:
    """Execute all cells in a fresh kernel of this Python, in `folder`, without a network.

    Raises:
        Refused: a cell failed, took too long, or killed the kernel.
        KeyboardInterrupt: Ctrl-C; the kernel has ended by then.
    """
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    interrupts: list[bool] = []

    def stop() -> None:
        interrupts.append(True)
        asyncio.ensure_future(client.km.interrupt_kernel())

    def listen(**_notebook: NotebookNode) -> None:
        # nbclient's own handler takes the kernel away under the running cell; an interrupt lets everything close.
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop)

    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        on_notebook_start=listen,
        # A kernel warns at each start that loopback is not encrypted; errors still come through.
        extra_arguments=["--IPKernelApp.log_level=40"],
    )
    try:
        client.execute(env=offline.environment())
    except CellExecutionError as error:
        if interrupts:
            raise KeyboardInterrupt from None
        index = next(i for i, cell in enumerate(notebook.cells) if _failed(cell))
        raise Refused(f"cell {index} of the chapter failed:\n{error}") from error
    except (CellTimeoutError, DeadKernelError) as error:
        raise Refused(f"the chapter was stopped: {error} (a cell has {CELL_SECONDS} s)") from error
    if interrupts:
        raise KeyboardInterrupt


def _failed(cell: NotebookNode) -> bool:
    tags = cell.metadata.get("tags", [])
    return "raises-exception" not in tags and any(out.output_type == "error" for out in cell.get("outputs", []))


def unwatched(notebook: NotebookNode) -> None:
    """Look at nothing."""


def build(source: Path, folder: Path, look: Callable[[NotebookNode], None] = unwatched) -> Path:
    """Execute one chapter's source and write its notebook into `folder`; the old one stays until the new one is whole.

    Args:
        look: is shown the executed notebook, with all its outputs and times.

    Raises:
        Refused: a cell fails, shows what no other run will show, or the notebook is larger than 400 kB.
    """
    notebook = read_source(source)
    run(notebook, folder)
    look(notebook)
    # Execution adds Python's exact version and the state of every widget.
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = kept(cell)
            cell.metadata.pop("execution", None)
    text = nbformat.writes(notebook) + "\n"
    if len(text) > LARGEST_KB * 1000:
        raise Refused(f"{source.stem} is {len(text) / 1000:.0f} kB, over {LARGEST_KB} kB: print or draw less")
    target = folder / f"{source.stem}.ipynb"
    replace_whole(target, lambda partial: partial.write_text(text, encoding="utf-8"))
    return target


def build_chapters(folder: Path, wanted: str) -> int:
    """Build the chapters with `wanted` in their name, say where each lies and what is above its measure; return 0.

    Raises:
        Refused: no source has that in its name, a chapter cannot be built, or one takes far longer than it says; that
            one is written all the same, to be looked at.
    """
    fitting = sources(folder, wanted)
    if not fitting:
        names = ", ".join(path.stem for path in sources(folder)) or "none"
        raise Refused(f"no chapter source has {wanted!r} in its name; the sources are: {names}")
    measures: list[Measure] = []
    for source in fitting:
        print(f"building {source.stem} …", flush=True)
        target = build(source, folder, partial(keep_measure, source.stem, measures))
        print(f"  {target} {target.stat().st_size / 1000:.0f} kB", flush=True)
    if long := [f"{m.head.title} takes {m.minutes:.0f} minutes, not {m.head.minutes}" for m in measures if m.too_long]:
        raise Refused(f"{'; '.join(long)}: cut it, or fold away what the first reading does not need")
    return 0


def report_out_of_step(folder: Path) -> int:
    """Print which sources and notebooks differ; return 1 when one does, else 0."""
    differences = list(out_of_step(folder))
    print("\n".join(differences) or "Sources and notebooks are in step.")
    return int(bool(differences))


def sources(folder: Path, wanted: str = "") -> list[Path]:
    """Return the chapter sources below `folder`, or those with `wanted` in their name."""
    return [path for path in sorted((folder / "src").glob("[0-9][0-9]_*.py")) if wanted in path.stem]


def out_of_step(folder: Path) -> Iterator[str]:
    """Give one line for each chapter whose source and notebook differ in content, or of which one is missing.

    Contents are compared, never times: a fresh checkout gives every file the same time.
    """
    built = {path.stem: path for path in folder.glob("[0-9][0-9]_*.ipynb")}
    for source in sources(folder):
        if source.stem not in built:
            yield f"{source.stem}: not built yet; run `lorabook build {source.stem}`"
            continue
        try:
            notebook = nbformat.read(built.pop(source.stem), as_version=4)
            compare_notebooks(notebook, read_source(source), fmt="py:percent", allow_expected_differences=True)
        except NotebookDifference as difference:
            yield f"{source.stem}: source and notebook differ; run `lorabook build {source.stem}`\n{difference}"
    for name in built:
        yield f"{name}: the notebook has no source notebooks/src/{name}.py"
