"""How a State declares its controls: a frozen dataclass whose every field carries the control that moves it.

@dataclass(frozen=True)
class State:
    r: int = control(8, Steps("rank r", (1, 2, 4, 8, 16)))
    layer: str = control("", Choice("layer", ()))        # options known only with the data: see `given`
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

Value = int | float | str | bool


class Control(ABC):
    """What moves one field of a State: a label, a unit, and every value that the field may take."""

    label: str
    unit: str

    @abstractmethod
    def points(self) -> list[Value]:
        """Return every value the control can be set to, in order."""

    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """Return what the browser needs to draw the control."""

    def parse(self, value: Value) -> Value:
        """Return the point that `value` names (a browser sends 3 for 3.0).

        Raises:
            ValueError: the control has no such point.
        """
        for point in self.points():
            if point == value:
                return point
        points = self.points()
        raise ValueError(f"{self.label}: {value!r} is none of its values, {points[0]!r} … {points[-1]!r}.")


@dataclass(frozen=True)
class Steps(Control):
    """A slider that stops at named values: ranks, learning rates on a log scale, the layers of a model."""

    label: str
    values: tuple[Value, ...]
    unit: str = ""

    def points(self) -> list[Value]:
        return list(self.values)

    def spec(self) -> dict[str, Any]:
        return {"kind": "steps", "label": self.label, "unit": self.unit, "values": list(self.values)}


@dataclass(frozen=True)
class Slider(Control):
    """A slider over lo, lo + step, …, hi."""

    label: str
    lo: float
    hi: float
    step: float = 1
    unit: str = ""

    def points(self) -> list[Value]:
        count = round((self.hi - self.lo) / self.step)
        return [self._at(i) for i in range(count + 1)]

    def _at(self, i: int) -> Value:
        whole = all(float(number).is_integer() for number in (self.lo, self.step))
        return int(self.lo + i * self.step) if whole else round(self.lo + i * self.step, 10)

    def spec(self) -> dict[str, Any]:
        return {"kind": "steps", "label": self.label, "unit": self.unit, "values": self.points()}


@dataclass(frozen=True)
class Choice(Control):
    """One of a few named things."""

    label: str
    options: tuple[Value, ...]
    unit: str = ""

    def points(self) -> list[Value]:
        return list(self.options)

    def spec(self) -> dict[str, Any]:
        return {"kind": "choice", "label": self.label, "unit": self.unit, "values": list(self.options)}


@dataclass(frozen=True)
class Toggle(Control):
    """On or off."""

    label: str
    unit: str = ""

    def points(self) -> list[Value]:
        return [False, True]

    def spec(self) -> dict[str, Any]:
        return {"kind": "toggle", "label": self.label, "unit": self.unit, "values": [False, True]}


@dataclass(frozen=True)
class Some(Control):
    """At least one of a few things, each on or off: a point names those that are on, "q, v"."""

    label: str
    names: tuple[str, ...]
    unit: str = ""

    def points(self) -> list[Value]:
        return [", ".join(some) for n in range(1, len(self.names) + 1) for some in combinations(self.names, n)]

    def spec(self) -> dict[str, Any]:
        values = {"unit": self.unit, "values": self.points(), "names": list(self.names)}
        return {"kind": "some", "label": self.label, **values}


@dataclass(frozen=True)
class Folded(Control):
    """A control that few readers move: it stands folded away under "more"."""

    by: Control

    @property
    def label(self) -> str:
        return self.by.label

    def points(self) -> list[Value]:
        return self.by.points()

    def spec(self) -> dict[str, Any]:
        return self.by.spec() | {"folded": True}


def control(start: Any, by: Control) -> Any:
    """Return a dataclass field that starts at `start` and is moved by the control `by`."""
    return dataclasses.field(default=start, metadata={"control": by})


def folded(start: Any, by: Control) -> Any:
    """Return a field as `control` does; its control is seen once the reader opens "more"."""
    return control(start, Folded(by))


def folded_names(state: Any) -> list[str]:
    """Return the fields of a State, or of its class, whose controls are folded away."""
    return [field.name for field in dataclasses.fields(state) if isinstance(field.metadata.get("control"), Folded)]


def controls(state: Any, given: Mapping[str, Control]) -> dict[str, Control]:
    """Return the control of every field of `state`; `given` replaces those whose range depends on the data.

    Raises:
        TypeError: a field declares no control, or `given` names no field.
        ValueError: a control has no values, or a field starts at a value that its control does not have.
    """
    declared = {field.name: field.metadata.get("control") for field in dataclasses.fields(state)}
    if unknown := set(given) - set(declared):
        raise TypeError(f"{type(state).__name__} has no field {sorted(unknown)}; it has {', '.join(declared)}.")
    declared.update(given)
    for name, by in declared.items():
        if not isinstance(by, Control):
            raise TypeError(f"{type(state).__name__}.{name} declares no control: write control(start, Slider(…)).")
        if not by.points():
            raise ValueError(f"{type(state).__name__}.{name}: {by.label} has nothing to choose; put it in `given`.")
        by.parse(getattr(state, name))
    return declared


def moved(state: Any, by: Mapping[str, Control], values: Mapping[str, Value]) -> Any:
    """Return `state` with its fields set to `values`, each checked by its control."""
    return dataclasses.replace(state, **{name: by[name].parse(value) for name, value in values.items()})
