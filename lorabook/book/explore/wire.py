"""Join a State, a compute function and a JavaScript view: the only file that knows widgets.

    explorer("spectrum", State(), compute, still, table=…)

The browser draws the controls that the State declares. With a `table` every question is answered there, from numbers
sent once; without one each change is sent here, `compute` answers, and the view draws the answer. ipywidgets keeps one
message in flight and joins the rest, so nothing queues up; what takes longer than 50 ms sets `settle` and is asked only
when the reader has stopped moving.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

import anywidget
import numpy as np
import traitlets

from lorabook.book.explore.bundle import bundle, stylesheet
from lorabook.book.explore.state import Control, controls, moved

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Still:
    """An explorer without a kernel: one sentence that says what it shows, and a picture of it."""

    sentence: str
    figure: "Figure"


@dataclass(frozen=True)
class Action:
    """A button: what stands on it, and what it does."""

    label: str
    run: Callable[[], None]


class Explorer(anywidget.AnyWidget):
    """The widget. Read `state` and `result`; set `values` to move the controls from Python."""

    _esm = traitlets.Unicode().tag(sync=True)
    _css = traitlets.Unicode().tag(sync=True)
    view = traitlets.Unicode().tag(sync=True)
    values = traitlets.Dict().tag(sync=True)
    specs = traitlets.Dict().tag(sync=True)
    buttons = traitlets.Dict().tag(sync=True)
    answer = traitlets.Dict().tag(sync=True)
    tabled = traitlets.Bool().tag(sync=True)
    settle = traitlets.Float().tag(sync=True)
    status = traitlets.Unicode().tag(sync=True)

    def __init__(
        self, view: str, state: Any, by: dict[str, Control], compute: Callable[[Any], Any], still, table: Any, settle
    ) -> None:
        self.start, self.by, self.compute, self.still = state, by, compute, still
        self.actions: dict[str, Action] = {}
        first = compute(state)  # raises here, so that a notebook with a broken explorer fails when it is executed
        super().__init__(
            _esm=bundle(view),
            _css=stylesheet(),
            view=view,
            values=asdict(state),
            specs={name: control.spec() for name, control in by.items()},
            answer=pack(first if table is None else table),
            tabled=table is not None,
            settle=settle,
        )
        self.observe(self._answer, "values")
        self.on_msg(self._message)

    @property
    def state(self) -> Any:
        """Where the controls stand."""
        return moved(self.start, self.by, self.values)

    @property
    def result(self) -> Any:
        """What `compute` says where the controls stand."""
        return self.compute(self.state)

    def set_actions(self, actions: Mapping[str, Action]) -> None:
        """Put buttons under the controls."""
        self.actions = dict(actions)
        self.buttons = {name: action.label for name, action in actions.items()}

    def refresh(self) -> None:
        """Ask `compute` again and show its answer: for what changes while the controls stand still."""
        self.answer = pack(self.compute(self.state))

    def _answer(self, _change: object) -> None:
        try:
            if self.tabled:
                self.state  # noqa: B018  (raises if a value is none of its control's)
            else:
                self.refresh()
            self.status = ""
        except Exception as error:  # whatever went wrong belongs in front of the reader, not in a log
            self.status = f"{type(error).__name__}: {error}" if not str(error) else str(error)

    def _message(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        if content.get("type") == "need-plotly":
            from plotly.offline import get_plotlyjs  # 5 MB of text, only where a chart is shown

            self.send({"type": "plotly"}, buffers=[get_plotlyjs().encode()])
        elif (action := self.actions.get(content.get("do", ""))) is not None:
            try:
                action.run()
            except Exception as error:  # as in _answer
                self.status = str(error) or type(error).__name__

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        made = super()._repr_mimebundle_(**options)
        still = self.still(self.state, self.result)
        buffer = io.BytesIO()
        still.figure.savefig(buffer, format="png", transparent=True)
        data, metadata = made if isinstance(made, tuple) else (made, {})
        return {**data, "text/plain": still.sentence, "image/png": buffer.getvalue()}, metadata


def explorer(
    view: str,
    state: Any,
    compute: Callable[[Any], Any],
    still: Callable[[Any, Any], Still],
    *,
    given: Mapping[str, Control] | None = None,
    table: Any = None,
    settle: float = 0.0,
) -> Explorer:
    """Return a live explorer.

    Args:
        view: the name of the JavaScript file beside this one.
        given: controls whose range depends on the data.
        table: numbers from which the browser answers every question itself.
        settle: seconds without movement before `compute` is asked.

    Raises:
        Exception: whatever `compute(state)` raises, at once.
    """
    return Explorer(view, state, controls(state, given or {}), compute, still, table, settle)


def pack(value: Any) -> Any:
    """Return `value` as what travels to the browser: dataclasses as objects, arrays as raw uint8 or float32
    with their shape.

    Raises:
        TypeError: a value that JavaScript has no name for.
    """
    if is_dataclass(value):
        return {field.name: pack(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): pack(item) for key, item in value.items()}
    if isinstance(value, np.ndarray) and value.dtype == np.uint8:
        return {"shape": list(value.shape), "uint8": np.ascontiguousarray(value).tobytes()}
    if isinstance(value, np.ndarray):
        return {"shape": list(value.shape), "float32": np.ascontiguousarray(value, dtype="<f4").tobytes()}
    if isinstance(value, list | tuple):
        return [pack(item) for item in value]
    if isinstance(value, np.generic):
        return pack(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None  # JSON has no word for it
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"a {type(value).__name__} cannot be sent to a view: return numpy arrays, numbers and strings.")
