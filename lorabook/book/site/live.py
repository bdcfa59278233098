"""Which widgets of an executed chapter need no kernel, and all that they need instead."""

from dataclasses import dataclass
from typing import Any

from nbformat import NotebookNode

from lorabook.book.explore.explorer import Explorer
from lorabook.book.explore.predict import Prediction
from lorabook.book.outputs import WIDGET

Live = dict[str, Any]
"""The name of its view, its state, and the buffers of bytes in it, each with its path and in base64."""

LABS = ("layout", "tooltip", "tabbable")
STATES = "application/vnd.jupyter.widget-state+json"


@dataclass(frozen=True)
class Widgets:
    """The widgets of a chapter by the id of the cell that shows them: what lives alone, and what asks a kernel."""

    living: dict[str, Live]
    asking: list[str]


NONE = Widgets({}, [])


def widgets_of(executed: NotebookNode) -> Widgets:
    """Return the book's own widgets in an executed notebook.

    An explorer lives if its table was sent with it. Its buttons go: they run something.
    """
    models = executed.metadata.get("widgets", {}).get(STATES, {}).get("state", {})
    shown = {
        cell.id: models[output.data[WIDGET]["model_id"]]
        for cell in executed.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if WIDGET in output.get("data", {})
    }
    living, asking = {}, []
    for cell, model in shown.items():
        match model["state"]:
            case {"_anywidget_id": name, "tabled": True, "view": view} if name == _name(Explorer):
                living[cell] = _live(view, model, {"buttons": {}})
            case {"_anywidget_id": name} if name == _name(Explorer):
                asking.append(cell)
            case {"_anywidget_id": name} if name == _name(Prediction):
                living[cell] = _live("predict", model, {})
    return Widgets(living, asking)


def _live(view: str, model: dict[str, Any], instead: dict[str, Any]) -> Live:
    own = {key: value for key, value in model["state"].items() if not key.startswith("_") and key not in LABS}
    buffers = [{"path": one["path"], "data": one["data"]} for one in model.get("buffers", [])]
    return {"view": view, "state": own | instead, "buffers": buffers}


def _name(widget: type) -> str:
    return f"{widget.__module__}.{widget.__qualname__}"
