"""How the step size changes over a run: a factor on every rate, from (step, steps)."""

import math


def constant(step: int, steps: int) -> float:
    """The step size stays what it is."""
    return 1.0


def cosine(step: int, steps: int, rise: int, floor: float) -> float:
    """Return (step + 1)/rise for the first `rise` steps, then half a cosine from 1 down to `floor`."""
    if step < rise:
        return (step + 1) / rise
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def warmup_cosine(step: int, steps: int) -> float:
    """The step size rises over the first tenth of the run and falls to zero on half a cosine."""
    return cosine(step, steps, max(1, steps // 10), 0.0)
