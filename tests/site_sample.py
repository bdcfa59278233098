"""A small chapter for the site's tests: an explorer of each sort and a prediction, as a kernel leaves them."""

import base64
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
from explorers import BUILD
from ipywidgets import Widget
from ipywidgets.embed import embed_data
from nbformat import NotebookNode

from lorabook.book.build import read_source
from lorabook.book.explore.predict import Prediction
from lorabook.book.explore.state import Steps
from lorabook.book.outputs import kept
from lorabook.book.site.live import STATES, Widgets, widgets_of

NAME = "01_sample"
QUESTION = "How many?"
SOURCE = """# %% [markdown]
# # 01 · A sample
#
# > **Does it move?**
#
# | minutes | tier | axis | teaches | you need |
# | --- | --- | --- | --- | --- |
# | 25 | short | form | · | · |
#
# A letter is in [Symbols](symbols.md). The sum of a row is $\\\\sum_j W_{ij}$, and `$5` is no formula.

# %%
guess

# %%
codebook

# %%
spectrum

# %%
training

# %%
look_back
"""


def sample_chapter(folder: Path, more: str = "") -> Widgets:
    """Write the chapter, its source and a page of symbols into `folder`; return the chapter's widgets.

    Args:
        more: Markdown that stands at the end of the chapter.
    """
    (folder / "src").mkdir()
    text = SOURCE + (f"\n# %% [markdown]\n# {more}\n" if more else "")
    (folder / "src" / f"{NAME}.py").write_text(text, encoding="utf-8")
    (folder / "symbols.md").write_text("# Symbols\n\n$W$ is a matrix.\n", encoding="utf-8")
    executed = _executed(read_source(folder / "src" / f"{NAME}.py"))
    widgets = widgets_of(executed)
    del executed.metadata["widgets"]
    for cell in executed.cells:
        if cell.cell_type == "code":
            cell.outputs = kept(cell)
    nbformat.write(executed, folder / f"{NAME}.ipynb")
    return widgets


def _executed(notebook: NotebookNode) -> NotebookNode:
    outputs, state = _shown()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [nbformat.from_dict(outputs[cell.source])]
            cell.execution_count = 1
    notebook.metadata["widgets"] = nbformat.from_dict({STATES: state})
    return notebook


@cache
def _shown() -> tuple[dict[str, NotebookNode], dict[str, Any]]:
    """What each cell shows, by its source, and the state of all widgets; made once for all tests of a file."""
    guess = Prediction(QUESTION, Steps("number", (1, 2, 5, 10)))
    views: dict[str, Widget] = {
        "guess": guess,
        **{name: BUILD[name]() for name in ("codebook", "spectrum", "training")},
    }
    outputs = {name: _output(shown) for name, shown in {**views, "look_back": guess.look_back("5")}.items()}
    return outputs, embed_data(views=list(views.values()), drop_defaults=False)["manager_state"]


def _output(shown: object) -> NotebookNode:
    bundle = shown._repr_mimebundle_()
    data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
    text = {mime: base64.b64encode(item).decode() if isinstance(item, bytes) else item for mime, item in data.items()}
    return nbformat.v4.new_output("execute_result", text, metadata=metadata, execution_count=1)
