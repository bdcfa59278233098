"""A widget's answer to its view's question whether there is a kernel; the view asks in alive.js."""

from typing import Any

from ipywidgets import Widget


def answer_alive(widget: Widget, content: dict[str, Any], _buffers: object) -> None:
    """Say that this kernel answers. For `on_msg`."""
    if content.get("type") == "alive?":
        widget.send({"type": "alive"})
