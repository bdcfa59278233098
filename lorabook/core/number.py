"""The one check of numbers that measure something: rates, norms, factors."""

import math
from numbers import Real


def refuse_unless_positive(what: str, value: object, note: str = "", *, most: float = math.inf) -> None:
    """Refuse what is no number above 0; True, NaN and "1e-3" are none.

    Args:
        what: the thing, as the message begins.
        note: what the number means, or a fair value, as the message ends.
        most: the number that it must stay below.

    Raises:
        ValueError: naming the thing, the value and what was expected.
    """
    if isinstance(value, Real) and not isinstance(value, bool) and 0 < value < most:
        return
    raise ValueError(f"{what} is {value!r}; it must be a finite number > 0{note}")
