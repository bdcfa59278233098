"""The chapters as people open them: `notebooks/src/NN_name.py`, the source, → `notebooks/NN_name.ipynb`, executed.

A built notebook keeps the text of its outputs and nothing else, so that a reader of the repository sees the verdicts
and numbers, a test has something to compare, and a rebuild changes few lines.
"""

import asyncio
import contextlib
import hashlib
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import jupytext
import nbformat
from jupytext.compare import NotebookDifference, compare_notebooks
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from lorabook.book import offline
from lorabook.book.classroom.solution import cut
from lorabook.book.refused import Refused

LARGEST_KB = 150
CELL_SECONDS = 300
METADATA = {
    "kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"},
    "language_info": {"name": "python"},
}
ADDRESS = re.compile(r"0x[0-9a-f]{6,}")
WRAPPER = re.compile(r"<IPython\.core\.display\.\w+ object>")
PICTURES = ("image/", "video/", "application/vnd.jupyter.widget-view")


def read_source(source: Path) -> NotebookNode:
    """The notebook a percent script describes: no outputs, solutions cut, cell ids that follow from the content."""
    notebook = jupytext.read(source, fmt="py:percent")
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for index, cell in enumerate(notebook.cells):
        cell.source = cut(cell.source)
        cell.id = hashlib.sha256(f"{index}\n{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
    return notebook


def text_of(output: NotebookNode) -> NotebookNode | None:
    """What a built notebook keeps of one output: printed text, text/markdown, else text/plain; None for nothing.

    Beside a picture or a widget, text/plain is only its Python repr and goes; text/markdown was written for readers.
    """
    if output.output_type == "stream":
        text = ADDRESS.sub("0xADDRESS", output.text)
        return NotebookNode(output_type="stream", name="stdout", text=text) if output.name == "stdout" else None
    if output.output_type == "error":
        return NotebookNode(output_type="error", ename=output.ename, evalue=output.evalue, traceback=[])
    pictured = any(mime.startswith(PICTURES) for mime in output.data)
    mime = "text/markdown" if "text/markdown" in output.data else "text/plain"
    text = output.data.get(mime)
    if text is None or (mime == "text/plain" and (pictured or WRAPPER.fullmatch(text))):
        return None
    data = NotebookNode({mime: ADDRESS.sub("0xADDRESS", text)})
    # One kind for displays and results: which of the two it was is not compared, and not worth a line of diff.
    return NotebookNode(output_type="display_data", data=data, metadata=NotebookNode())


def text_only(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """The text of a cell's outputs, with neighbouring prints joined."""
    kept: list[NotebookNode] = []
    for output in filter(None, map(text_of, outputs)):
        if kept and output.output_type == kept[-1].output_type == "stream":
            kept[-1].text += output.text
        else:
            kept.append(output)
    return kept


def run(notebook: NotebookNode, folder: Path) -> None:
    """Execute all cells in a fresh kernel of this Python, in `folder`, without a network.

    Raises: Refused naming the cell that failed, or the kernel that died; KeyboardInterrupt after Ctrl-C.
    """
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    stopped: list[bool] = []

    def stop() -> None:
        stopped.append(True)
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
        if stopped:
            raise KeyboardInterrupt from None
        index = next(i for i, cell in enumerate(notebook.cells) if _failed(cell))
        raise Refused(f"cell {index} of the chapter failed:\n{error}") from error
    except (CellTimeoutError, DeadKernelError) as error:
        raise Refused(f"the chapter was stopped: {error} (a cell has {CELL_SECONDS} s)") from error
    if stopped:
        raise KeyboardInterrupt


def _failed(cell: NotebookNode) -> bool:
    tags = cell.metadata.get("tags", [])
    return "raises-exception" not in tags and any(out.output_type == "error" for out in cell.get("outputs", []))


def build(source: Path, folder: Path) -> Path:
    """Execute one chapter's source and write its notebook into `folder`; the old one stays until the new one is whole.

    Raises: Refused when a cell fails or the notebook is larger than 150 kB.
    """
    notebook = read_source(source)
    run(notebook, folder)
    # Execution adds Python's exact version and the state of every widget.
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = text_only(cell.outputs)
            cell.metadata.pop("execution", None)
    text = nbformat.writes(notebook) + "\n"
    if len(text) > LARGEST_KB * 1000:
        raise Refused(f"{source.stem} is {len(text) / 1000:.0f} kB, over {LARGEST_KB} kB: print less")
    target = folder / f"{source.stem}.ipynb"
    part = target.with_name(f".{target.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(target)
    return target


def sources(folder: Path, wanted: str = "") -> list[Path]:
    """The chapter sources below `folder`, or those with `wanted` in their name."""
    return [path for path in sorted((folder / "src").glob("[0-9][0-9]_*.py")) if wanted in path.stem]


def out_of_step(folder: Path) -> Iterator[str]:
    """One line for each chapter whose source and notebook differ in content, or of which one is missing.

    Contents are compared, never times: a fresh checkout gives every file the same time.
    """
    built = {path.stem: path for path in folder.glob("[0-9][0-9]_*.ipynb")}
    for source in sources(folder):
        if source.stem not in built:
            yield f"{source.stem}: not built yet; run `lorabook build {source.stem}`"
            continue
        try:
            have = nbformat.read(built.pop(source.stem), as_version=4)
            compare_notebooks(have, read_source(source), fmt="py:percent", allow_expected_differences=True)
        except NotebookDifference as difference:
            yield f"{source.stem}: source and notebook differ; run `lorabook build {source.stem}`\n{difference}"
    for name in built:
        yield f"{name}: the notebook has no source notebooks/src/{name}.py"
