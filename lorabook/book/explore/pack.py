"""What travels from Python to a view: plain objects and lists, arrays as raw bytes. `unpack` in numbers.js reads it."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np


def pack(value: Any) -> Any:
    """Return `value` as a widget sends it: dataclasses as objects, arrays as raw bytes with their shape.

    Arrays are uint8 or uint16 where they are that in Python, and else float32.

    Raises:
        TypeError: a value that JavaScript has no name for.
    """
    if is_dataclass(value):
        return {field.name: pack(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): pack(item) for key, item in value.items()}
    if isinstance(value, np.ndarray) and value.dtype in (np.uint8, np.uint16):
        return {"shape": list(value.shape), value.dtype.name: value.astype(value.dtype.newbyteorder("<")).tobytes()}
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
