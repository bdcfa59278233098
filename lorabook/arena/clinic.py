"""Patients: trainings that go wrong in one way each, and what can be changed about them.

Each learns a lesson with LoRA on the shipped base, at a constant rate: a run that is stopped early is the beginning of
the longer one. The rate can be changed, and one thing besides.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from lorabook.arena.clinic_course import Course
from lorabook.arena.clinic_lessons import ByHeart, Lesson, Verses

EVERYWHERE, Q_V, MLP = "_proj", "q_proj|v_proj", "mlp"


@dataclass(frozen=True)
class Regimen:
    """How a training is run: `clip` 0 is none; `old` gives Austen, which the base knows, every fourth batch."""

    lr: float
    r: int = 8
    alpha: float = 16.0
    where: str = EVERYWHERE
    warm_up: int = 1
    clip: float = 0.0
    dropout: float = 0.0
    dtype: str = "float32"
    old: bool = False

    def factor(self, step: int, _steps: int) -> float:
        """Return the factor on the rate: a rise over `warm_up` steps, then 1."""
        return min(1.0, (step + 1) / self.warm_up)

    @property
    def label(self) -> str:
        """All of it in a line, as a record names it."""
        return (
            f"{self.lr:.3g} r{self.r} α{self.alpha:g} {self.where} w{self.warm_up} c{self.clip:g} d{self.dropout:g} "
            f"{self.dtype}{' old' * self.old}"
        )

    def of_rank(self, r: int) -> "Regimen":
        """Return the same with another rank and the same s = α/r."""
        return replace(self, r=r, alpha=self.alpha * r / self.r)


@dataclass(frozen=True)
class Patient:
    """A lesson, how it is trained when the complaint is heard, and when it is cured, in words and as a rule."""

    lesson: Lesson
    regimen: Regimen
    cured: str
    is_cured: Callable[[Course], bool]


SWINGS, NAN, FLAT, GAP, FORGETS = "it swings", "it is NaN", "it stays flat", "train falls, new rises", "it forgets"
PATIENTS: dict[str, Patient] = {
    SWINGS: Patient(
        Verses(), Regimen(8e-3 / 2**0.5, alpha=128),
        "no rise above 0.05, and at least 0.2 learned", lambda seen: seen.rise <= 0.05 and seen.learned >= 0.2,
    ),
    NAN: Patient(
        Verses(), Regimen(8e-3, dtype="float16"),
        "a number to the end, and at least 0.2 learned", lambda seen: seen.is_number and seen.learned >= 0.2,
    ),
    FLAT: Patient(
        ByHeart(256, 64), Regimen(1.6e-2, r=2, alpha=4, where=Q_V),
        "a loss below 1.5", lambda seen: seen.end < 1.5,
    ),
    GAP: Patient(
        Verses(200_000, 512), Regimen(8e-3),
        "no rise above 0.02, and at least 0.1 learned", lambda seen: seen.rise <= 0.02 and seen.learned >= 0.1,
    ),
    FORGETS: Patient(
        Verses(), Regimen(8e-3),
        "a drift below 0.4, and at least 0.3 learned", lambda seen: seen.drift < 0.4 and seen.learned >= 0.3,
    ),
}  # fmt: skip
FACTORS: dict[str, float] = {"÷ 8": 1 / 8, "÷ 2.8": 8**-0.5, "× 1": 1.0, "× 2.8": 8**0.5}
CHANGES: dict[str, Callable[[Regimen], Regimen]] = {
    "nothing": lambda regimen: regimen,
    "α ÷ 8": lambda regimen: replace(regimen, alpha=regimen.alpha / 8),
    "rank 2, same α/r": lambda regimen: regimen.of_rank(2),
    "rank 32, same α/r": lambda regimen: regimen.of_rank(32),
    "adapters on q, v": lambda regimen: replace(regimen, where=Q_V),
    "adapters on the MLP": lambda regimen: replace(regimen, where=MLP),
    "adapters on all seven": lambda regimen: replace(regimen, where=EVERYWHERE),
    "warm-up, 8 steps": lambda regimen: replace(regimen, warm_up=8),
    "clip at norm 1": lambda regimen: replace(regimen, clip=1.0),
    "dropout 0.3": lambda regimen: replace(regimen, dropout=0.3),
    "weights in float32": lambda regimen: replace(regimen, dtype="float32"),
    "weights in bfloat16": lambda regimen: replace(regimen, dtype="bfloat16"),
    "every 4th batch old": lambda regimen: replace(regimen, old=True),
}


def regimen(patient: str, factor: str, change: str) -> Regimen:
    """Return how a patient is trained after a change of the rate and of one thing besides."""
    before = PATIENTS[patient].regimen
    return CHANGES[change](replace(before, lr=before.lr * FACTORS[factor]))
