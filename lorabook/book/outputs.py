"""What a built notebook keeps of its outputs: their text, the same on every run.

So a reader of the repository sees the verdicts and numbers, a test has something to compare, and a rebuild changes few
lines.
"""

import re

from nbformat import NotebookNode

ADDRESS = re.compile(r"0x[0-9a-f]{6,}")
WRAPPER = re.compile(r"<IPython\.core\.display\.\w+ object>")
PICTURES = ("image/", "video/", "application/vnd.jupyter.widget-view")


def text_of(output: NotebookNode) -> NotebookNode | None:
    """Return what a built notebook keeps of one output: printed text, text/markdown, else text/plain; None for nothing.

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
    """Return the text of a cell's outputs, with neighbouring prints joined."""
    texts: list[NotebookNode] = []
    for output in filter(None, map(text_of, outputs)):
        if texts and output.output_type == texts[-1].output_type == "stream":
            texts[-1].text += output.text
        else:
            texts.append(output)
    return texts
