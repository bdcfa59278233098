"""Move every control of an explorer through its whole range, without a browser, and look at every answer."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from lorabook.book.explore.explorer import Explorer


def sweep(explorer: Explorer) -> Iterator[tuple[Any, Any]]:
    """Yield (state, result) for every value of every control, the others where they were.

    Raises:
        AssertionError: the explorer complained on its status line, or a number of a result is not finite.
    """
    start = dict(explorer.values)
    for name, control in explorer.controls.items():
        for value in control.points():
            explorer.values = {**start, name: value}
            if explorer.status:
                raise AssertionError(f"{name}={value!r}: {explorer.status}")
            state, result = explorer.state, explorer.result
            require_finite(result, f"{name}={value!r}")
            yield state, result
        explorer.values = start


def require_finite(value: Any, where: str) -> None:
    """Raise AssertionError, naming the place, at the first number inside `value` that is not finite."""
    if is_dataclass(value):
        for field in fields(value):
            require_finite(getattr(value, field.name), f"{where}: {field.name}")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            require_finite(item, f"{where}[{key!r}]")
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            require_finite(item, f"{where}[{i}]")
    elif isinstance(value, np.ndarray | float) and not np.isfinite(value).all():
        raise AssertionError(f"{where} is not finite: {value!r}")
