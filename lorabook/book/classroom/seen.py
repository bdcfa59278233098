"""What one call of a learner's function gave, as plain numbers: all that a judge knows of it."""

import json
import math
from dataclasses import asdict, dataclass, field

from lorabook.book.classroom.plain import Value

LONGEST_TEXT = 600
FAULTS = frozenset(
    {
        "arguments", "exit", "endless", "killed", "memory", "meta", "nan", "no-return", "not-a-function",
        "not-attempted", "not-defined", "output", "parts", "raised", "ragged", "recursion", "size", "sparse", "type",
        "dtype",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """Either `parts`, the values that came, or a fault: its code and what to tell the learner.

    Args:
        dtypes: of the parts, by name; empty for what has none.
        met: the sets of inputs, by name, that a product of the call brought together.
        gradients: ∂L/∂ each input, by name; None for those that got none.
    """

    parts: tuple[Value, ...] = ()
    fault: str = ""
    says: str = ""
    dtypes: tuple[str, ...] = ()
    met: tuple[tuple[str, ...], ...] = ()
    gradients: dict[str, Value | None] = field(default_factory=dict)


def written(seen: list[Seen]) -> bytes:
    """Return observations as JSON."""
    return json.dumps([asdict(one) for one in seen], allow_nan=False).encode()


def read(text: bytes) -> list[Seen]:
    """Return observations from JSON that a stranger may have written.

    Raises:
        ValueError: it is no such JSON, or holds anything but finite numbers in rectangles, known codes and short texts.
    """
    try:
        return [_seen(one) for one in json.loads(text)]
    except (KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise ValueError(f"these are no observations: {type(error).__name__}") from error


def _seen(one: dict) -> Seen:
    fault, says = one["fault"], one["says"]
    if not isinstance(says, str) or fault not in FAULTS | {""}:
        raise ValueError(f"{fault!r} is no known fault")
    met = tuple(tuple(str(name) for name in names) for names in one["met"])
    gradients = {str(name): None if value is None else _value(value) for name, value in one["gradients"].items()}
    parts, dtypes = tuple(_value(part) for part in one["parts"]), tuple(str(name) for name in one["dtypes"])
    return Seen(parts, fault, says[:LONGEST_TEXT], dtypes, met, gradients)


def _value(value: object, depth: int = 0) -> Value:
    if type(value) in (int, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is no finite number")
        return float(value)
    if type(value) is not list or depth == 8:
        raise ValueError("a value is a number or a list")
    parts = [_value(part, depth + 1) for part in value]
    if len({len(part) if isinstance(part, list) else -1 for part in parts}) > 1:
        raise ValueError("the rows have different lengths")
    return parts
