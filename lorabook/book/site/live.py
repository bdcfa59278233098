"""Which widgets of an executed chapter need no kernel, and all that they need instead."""

from typing import Any

from nbformat import NotebookNode

from lorabook.book.explore.explorer import Explorer
from lorabook.book.explore.predict import Prediction
from lorabook.book.outputs import WIDGET

Live = dict[str, Any]
"""The name of its view, its state, and the buffers of bytes in it, each with its path and in base64."""

STATES = "application/vnd.jupyter.widget-state+json"


def live_widgets(executed: NotebookNode) -> dict[str, Live]:
    """Return the widgets that live without a kernel by the id of the cell that shows them.

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
    living = {cell: _living(model) for cell, model in shown.items()}
    return {cell: one for cell, one in living.items() if one}


def _living(model: dict[str, Any]) -> Live:
    state = model["state"]
    match state.get("_anywidget_id"):
        case name if name == _name(Explorer) and state["tabled"]:
            view, more = state["view"], {"buttons": {}}
        case name if name == _name(Prediction):
            view, more = "predict", {}
        case _:
            return {}
    own = {key: value for key, value in state.items() if not key.startswith("_") and key not in ("layout", "tooltip")}
    buffers = [{"path": one["path"], "data": one["data"]} for one in model.get("buffers", [])]
    return {"view": view, "state": own | more, "buffers": buffers}


def _name(widget: type) -> str:
    return f"{widget.__module__}.{widget.__qualname__}"
