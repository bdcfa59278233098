"""What is seen of a training of the clinic up to a step: its loss, how far it rose on the way, how far it drifted."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

STEPS = 32
LOOKS = (2, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32)
"""After how many steps the lesson is scored."""
STOPS = (2, 4, 6, 8, 12, 16, 24, 32)
"""After how many steps the drift is measured, and a run may be stopped."""


@dataclass(frozen=True)
class Course:
    """A training that was stopped; NaN throughout once its loss was.

    end: the lesson's score; learned: by how much it fell; rise: the most that it stood above an earlier one; drift:
    KL(base ‖ adapted) on Austen. Nats.
    """

    end: float
    learned: float
    rise: float
    drift: float

    @property
    def is_number(self) -> bool:
        """Whether the run came as far as this."""
        return math.isfinite(self.end)


def course(start: float, new: Sequence[float], drift: Sequence[float], stop: int) -> Course:
    """Return what is seen of a run that is stopped after `stop` steps; the lists hold as many values as it came to."""
    looks, at = LOOKS.index(stop) + 1, STOPS.index(stop)
    if len(new) < looks or len(drift) <= at:
        return Course(math.nan, math.nan, math.nan, math.nan)
    scores = [start, *new[:looks]]
    rise = max(score - min(scores[: i + 1]) for i, score in enumerate(scores))
    return Course(scores[-1], start - scores[-1], rise, drift[at])
