"""Join a State, a compute function and a JavaScript view: the only file that knows widgets.

    explorer("memory", State(), compute, still)             each change is answered by the kernel
    tabled_explorer("spectrum", State(), compute, still)    all answers are sent at once; the browser looks them up

`compute` returns a dataclass with a `sentence`, which stands above the picture, in the browser and wherever there is no
kernel; `still` draws the picture without a browser. The browser draws the controls that the State declares. ipywidgets
keeps one message in flight and joins the rest, so nothing queues up; what takes longer than 50 ms sets `settle` and is
asked only when the reader has stopped moving.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from threading import RLock
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from lorabook.book.explore.alive import answer_alive
from lorabook.book.explore.answers import Answers, answers
from lorabook.book.explore.bundle import bundle, stylesheet
from lorabook.book.explore.pack import pack
from lorabook.book.explore.state import Control, controls, moved
from lorabook.book.figures.picture import Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure


Draw = Callable[[Any, Any], "Figure"]
"""Draws (state, result) with matplotlib: what an explorer shows where there is no kernel."""


Follow = Callable[[Any, Any], tuple[Any, Mapping[str, Control]]]
"""From the State before and the one asked for: the State that stands now, and the controls whose range it decides."""


@dataclass(frozen=True)
class Action:
    """A button: what stands on it, and what it does."""

    label: str
    run: Callable[[], None]


class Explorer(anywidget.AnyWidget):
    """The widget. Read `state` and `result`; set `values` to move the controls from Python.

    `answer` is what the view draws: the result of the state or, where `tabled`, the results of all states.
    """

    _esm = traitlets.Unicode().tag(sync=True)
    _css = traitlets.Unicode().tag(sync=True)
    view = traitlets.Unicode().tag(sync=True)
    values = traitlets.Dict().tag(sync=True)
    hand = traitlets.Dict().tag(sync=True)
    specs = traitlets.Dict().tag(sync=True)
    order = traitlets.List().tag(sync=True)
    buttons = traitlets.Dict().tag(sync=True)
    answer = traitlets.Dict().tag(sync=True)
    tabled = traitlets.Bool().tag(sync=True)
    settle = traitlets.Float().tag(sync=True)
    status = traitlets.Unicode().tag(sync=True)

    def __init__(
        self, view: str, start: Any, controls: dict[str, Control], compute: Callable[[Any], Any],
        still: Draw, settle: float,
    ) -> None:  # fmt: skip
        self.start, self.controls, self.compute, self.still = start, controls, compute, still
        self.actions: dict[str, Action] = {}
        # A thread that trains shows its answer too: neither it nor a moved control may send one that is out of date.
        self.answering = RLock()
        self.follow: Follow | None = None
        self.stood, self.ranged, self.by_hand = start, frozenset[str](), frozenset[str]()
        first = compute(start)  # raises here, so that a notebook with a broken explorer fails when it is executed
        super().__init__(
            _esm=bundle(view),
            _css=stylesheet(),
            view=view,
            values=asdict(start),
            specs={name: control.spec() for name, control in controls.items()},
            order=list(controls),  # a saved notebook has the names of a dictionary sorted
            answer=compute.packed() if isinstance(compute, Answers) else pack(first),
            tabled=isinstance(compute, Answers),
            settle=settle,
        )
        self.observe(self._moved, "values")
        self.on_msg(self._message)
        self.on_msg(answer_alive)

    @property
    def state(self) -> Any:
        """Where the controls stand."""
        return moved(self.start, self.controls, self.values)

    @property
    def result(self) -> Any:
        """The answer where the controls stand."""
        return self.compute(self.state)

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Take the browser's values, and which controls the reader moved: the others there may be out of date."""
        self.by_hand = frozenset(sync_data.get("hand", {}).get("names", ()))
        super().set_state(sync_data)
        self.by_hand, self.hand = frozenset(), {}

    def set_actions(self, actions: Mapping[str, Action]) -> None:
        """Put buttons under the controls."""
        self.actions = dict(actions)
        self.order = [*self.controls, *actions]
        self.buttons = {name: action.label for name, action in actions.items()}

    def set_follow(self, follow: Follow) -> None:
        """Let some controls follow others: a learning rate its variant, and a range what was chosen beside it."""
        self.follow, self.ranged = follow, frozenset(follow(self.start, self.start)[1])

    def refresh(self) -> None:
        """Show the answer where the controls stand: for what changes while they stand still."""
        with self.answering:
            result = self.result  # raises if a value is none of its control's
            if not self.tabled:
                self.answer = pack(result)

    def _moved(self, _change: object) -> None:
        try:
            with self.answering, self.hold_sync():
                if self.follow is not None:
                    self._let_follow(self.follow)
                self.refresh()
                self.status = ""
        except Exception as error:  # whatever went wrong belongs in front of the reader, not in a log
            self.status = f"{type(error).__name__}: {error}" if not str(error) else str(error)

    def _let_follow(self, follow: Follow) -> None:
        told = {name: value for name, value in self.values.items() if name in (self.by_hand or self.values)}
        fixed = {name: value for name, value in told.items() if name not in self.ranged}
        following = {name: value for name, value in told.items() if name in self.ranged}
        asked = replace(moved(self.stood, self.controls, fixed), **following)
        now, given = follow(self.stood, asked)
        self.stood = moved(now, given, {name: getattr(now, name) for name in given})
        self.controls = {**self.controls, **given}
        self.specs = {name: control.spec() for name, control in self.controls.items()}
        self.unobserve(self._moved, "values")  # or it would follow itself
        self.values = asdict(self.stood)
        self.observe(self._moved, "values")

    def _message(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        if content.get("type") == "need-plotly":
            from plotly.offline import get_plotlyjs  # 5 MB of text, only where a chart is shown

            self.send({"type": "plotly"}, buffers=[get_plotlyjs().encode()])
        elif (action := self.actions.get(content.get("do", ""))) is not None:
            try:
                action.run()
            except Exception as error:  # as in _moved
                self.status = str(error) or type(error).__name__

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        bundled = super()._repr_mimebundle_(**options)
        result = self.result
        still, size = Picture(result.sentence, self.still(self.state, result))._repr_mimebundle_()
        data, metadata = bundled if isinstance(bundled, tuple) else (bundled, {})
        return {**data, **still}, {**metadata, **size}


def explorer(
    view: str,
    start: Any,
    compute: Callable[[Any], Any],
    still: Draw,
    *,
    given: Mapping[str, Control] | None = None,
    settle: float = 0.0,
) -> Explorer:
    """Return a live explorer that asks `compute` in the kernel at every change.

    Args:
        view: the name of the JavaScript file beside this one.
        start: the State that it starts with.
        given: controls whose range depends on the data.
        settle: seconds without movement before `compute` is asked.

    Raises:
        Exception: whatever `compute(start)` raises, at once.
    """
    return Explorer(view, start, controls(start, given or {}), compute, still, settle)


def tabled_explorer(
    view: str,
    start: Any,
    compute: Callable[[Any], Any],
    still: Draw,
    *,
    given: Mapping[str, Control] | None = None,
) -> Explorer:
    """Return a live explorer whose answers are all computed now and sent once: it needs no kernel to be moved.

    Args:
        view, start, given: as in `explorer`.
        compute: its results are dataclasses; fields that few states differ in cost next to nothing to send.

    Raises:
        Exception: whatever `compute` raises for any state, at once.
        ValueError: more different answers than can be sent; see `Answers.packed`.
    """
    by = controls(start, given or {})
    return Explorer(view, start, by, answers(start, by, compute), still, 0.0)
