"""What a built notebook keeps of its outputs: what nbval compares as a run shows it, and every picture, made small.

nbval compares each text of each output (`text/plain`, `text/markdown`, `text/html`, `image/svg+xml`, what is printed)
and leaves pictures of pixels and widgets out. So a widget goes, and the picture and the text beside it stay; a drawing
in SVG, which some web pages leave out, gets its PNG. What a reader sees without a kernel is what a test compares. A
cell tagged `nbval-ignore-output` differs from run to run.
"""

import base64
import io
import re
from collections.abc import Iterable
from pathlib import Path

import matplotlib
from nbformat import NotebookNode
from PIL import Image

from lorabook.book.refused import Refused

IGNORED = "nbval-ignore-output"
WIDGET = "application/vnd.jupyter.widget-view+json"
PNG, SVG = "image/png", "image/svg+xml"
COLOURS = 32
ADDRESS = re.compile(r"<[^<>]* at 0x[0-9a-f]{6,}[^<>]*>")


def is_compared(cell: NotebookNode) -> bool:
    """Return whether nbval compares what a cell shows."""
    return IGNORED not in cell.metadata.get("tags", [])


def kept(cell: NotebookNode) -> list[NotebookNode]:
    """Return what a built notebook keeps of the outputs of a code cell.

    Raises:
        Refused: the cell is compared, and shows an address or a warning, which no two machines share.
    """
    compared = is_compared(cell)
    outputs = [_kept(output) for output in cell.outputs if compared or not _is_passing(output)]
    outputs = [output for output in outputs if output.get("data", True)]
    if compared:
        for output in outputs:
            _refuse_varying(output)
    return outputs


def texts(outputs: Iterable[NotebookNode]) -> list[str]:
    """Return what nbval compares of some outputs."""
    found = []
    for output in outputs:
        shown = output.get("data", {"text": output.get("text"), "ename": output.get("ename")})
        found += [str(text) for mime, text in shown.items() if text is not None and mime not in (PNG, WIDGET)]
    return found


def compact(png: str) -> str:
    """Return a picture in base64 with its colours reduced to 32: the same picture is the same bytes, about a third."""
    picture = Image.open(io.BytesIO(base64.b64decode(png)))
    if picture.mode != "P":
        picture = picture.convert("RGBA").quantize(COLOURS, Image.Quantize.FASTOCTREE)
    buffer = io.BytesIO()
    picture.save(buffer, format="png", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def rasterised(drawing: str) -> str:
    """Return a drawing in SVG as a picture in base64, on its light ground and in a font that every machine here has.

    Raises:
        Refused: what draws it is not installed; only who builds chapters needs it.
    """
    try:
        from resvg_py import svg_to_bytes
    except ImportError as error:
        raise Refused("a drawing in SVG is stored as PNG too: run `pip install -e .[test]` first") from error
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    files = [str(fonts / f"DejaVuSans{weight}.ttf") for weight in ("", "-Bold")]
    png = svg_to_bytes(
        drawing, zoom=1.4, skip_system_fonts=True, font_files=files, sans_serif_family="DejaVu Sans"
    )  # fmt: skip
    return base64.b64encode(bytes(png)).decode()


def _is_passing(output: NotebookNode) -> bool:
    """A progress bar, or a warning: gone once the cell has run."""
    return output.get("name") == "stderr" or set(output.get("data", ())) == {WIDGET, "text/plain"}


def _kept(output: NotebookNode) -> NotebookNode:
    output = NotebookNode(output)
    if output.output_type == "error":
        # The lines of a traceback name files of this machine.
        output.traceback = [f"{output.ename}: {output.evalue}"]
    if "data" in output:
        output.data = NotebookNode({mime: text for mime, text in output.data.items() if mime != WIDGET})
        if SVG in output.data and PNG not in output.data:
            output.data[PNG] = rasterised(output.data[SVG])
        if PNG in output.data:
            output.data[PNG] = compact(output.data[PNG])
    return output


def _refuse_varying(output: NotebookNode) -> None:
    if output.get("name") == "stderr":
        raise Refused(f"a cell warns, and nobody else's machine would say the same: {output.text.strip()[:300]}")
    for text in texts([output]):
        if address := ADDRESS.search(text):
            raise Refused(
                f"a cell shows {address[0]}, which is different on every run: show something else, or tag the cell "
                f"{IGNORED}"
            )
