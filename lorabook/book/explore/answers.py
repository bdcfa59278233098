"""Every answer of an explorer, computed in advance: the browser then only looks them up (`answerAt` in answers.js).

So numbers and sentences have one source. What a sweep sees in Python is what a reader sees, with a kernel or without.
Equal parts are sent once: a sentence is the numbers of its words, a tuple the numbers of its items, and a curve that
two states share is one curve.
"""

import itertools
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from lorabook.book.explore.pack import pack
from lorabook.book.explore.state import Control

MOST = np.iinfo(np.uint16).max


@dataclass(frozen=True)
class Answers:
    """The results of all states, the last control moving fastest. Called with a state, it gives that state's result."""

    controls: Mapping[str, Control]
    results: Sequence[Any]

    def __call__(self, state: Any) -> Any:
        place = 0
        for name, control in self.controls.items():
            points = control.points()
            place = place * len(points) + points.index(getattr(state, name))
        return self.results[place]

    def packed(self) -> dict[str, Any]:
        """Return all of it as a widget sends it: a column for each field of a result.

        The controls go along as a list, because a notebook file sorts the keys of an object.

        Raises:
            ValueError: a column has more different parts than 16 bits can number.
        """
        controls = [{"name": name, "values": control.points()} for name, control in self.controls.items()]
        names = [field.name for field in fields(self.results[0])]
        columns = {name: _column(name, [getattr(result, name) for result in self.results]) for name in names}
        return {"controls": pack(controls), "columns": pack(columns)}


def answers(start: Any, controls: Mapping[str, Control], compute: Callable[[Any], Any]) -> Answers:
    """Ask `compute`, whose results are dataclasses, for every state that the controls can reach from `start`."""
    points = itertools.product(*(control.points() for control in controls.values()))
    states = (replace(start, **dict(zip(controls, values, strict=True))) for values in points)
    return Answers(controls, [compute(state) for state in states])


def _column(name: str, values: list[Any]) -> dict[str, Any]:
    """Number the different parts of a field's values from 1; 0 fills the rows of values that have fewer parts."""
    form, divided = _divided(values)
    numbers: dict[Hashable, int] = {}
    parts: list[Any] = []
    which = np.zeros((len(values), max(map(len, divided))), np.uint16)
    for i, row in enumerate(divided):
        for j, part in enumerate(row):
            key = (part.shape, part.tobytes()) if isinstance(part, np.ndarray) else (type(part), part)
            if key not in numbers:
                parts.append(part)
                numbers[key] = len(parts)
                if len(parts) > MOST:
                    raise ValueError(
                        f"{name} has more than {MOST} different values over {len(values)} states: offer fewer points, "
                        "or let the kernel answer (explorer instead of tabled_explorer)."
                    )
            which[i, j] = numbers[key]
    same = np.array(parts, np.float32) if all(isinstance(part, float) for part in parts) else parts
    return {"form": form, "which": which, "parts": same}


def _divided(values: list[Any]) -> tuple[str, list[Sequence[Any]]]:
    if all(isinstance(value, str) for value in values):
        return "text", [value.split(" ") for value in values]
    if all(isinstance(value, tuple) for value in values):
        return "list", values
    return "one", [(value,) for value in values]
