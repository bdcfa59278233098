"""The one check of numbers that count something: ranks, steps, groups, sizes."""

import math


def refuse_unless_whole(
    what: str, value: object, least: int = 1, note: str = "", *, unit: str = "", most: float = math.inf
) -> None:
    """Refuse what is no whole number from `least` to `most`; True and 3.0 are none.

    Args:
        what: the thing and its name, as the message begins: "MELoRA: n".
        unit: what is counted: "evaluations".
        note: what the number means, or a fair value, as the message ends.

    Raises:
        ValueError: naming the thing, the value and what was expected.
    """
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return
    allowed = f"≥ {least}" if most == math.inf else f"from {least} to {most}"
    of = f" of {unit}" if unit else ""
    raise ValueError(f"{what} is {value!r}; it must be a whole number{of} {allowed}{note}")
