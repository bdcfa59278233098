"""The clinic: trainings that went wrong, each recorded again at other rates and with one other thing changed.

Left the losses of the patient and of the reader's run, right their drift from the base.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lorabook.arena.clinic import CHANGES, FACTORS, PATIENTS, SWINGS, Regimen, regimen
from lorabook.arena.clinic_course import LOOKS, STOPS, Course
from lorabook.arena.clinic_runs import ClinicRun, read
from lorabook.book import style
from lorabook.book.explore.explorer import Explorer, tabled_explorer
from lorabook.book.explore.state import Choice, Steps, control

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOTHING, AS_IT_IS = "nothing", "× 1"
WORDS = {"_proj": "all seven", "q_proj|v_proj": "q and v", "mlp": "the MLP"}
ABOVE = 1.0
"""How far above the base a loss is still drawn."""
Runs = Mapping[tuple[str, str], ClinicRun]


@dataclass(frozen=True)
class State:
    """Which patient, the rate over the patient's, the one other thing that is changed, and when the run is stopped."""

    patient: str = control(SWINGS, Choice("patient", tuple(PATIENTS)))
    factor: str = control(AS_IT_IS, Steps("learning rate", tuple(FACTORS)))
    change: str = control(NOTHING, Choice("also change", tuple(CHANGES)))
    stop: int = control(32, Steps("stop after", STOPS, "steps"))


@dataclass(frozen=True)
class Result:
    """Curves of the patient and of the reader's run, a row of steps and a row of values, as far as they were numbers.

    seen: loss of each step's batch of the lesson; new: the lesson's score, drift: KL on Austen, both from step 0 on.
    before, now: end, learned, rise and drift of both where the reader stops, empty for NaN. limits: of what is drawn.
    """

    seen_before: np.ndarray
    new_before: np.ndarray
    drift_before: np.ndarray
    seen: np.ndarray
    new: np.ndarray
    drift: np.ndarray
    before: np.ndarray
    now: np.ndarray
    limits: np.ndarray
    trained_before: str
    trained: str
    rule: str
    cured: bool
    sentence: str


def clinic() -> Explorer:
    """Return the clinic, on the record that the book ships."""
    return explore_runs(read())


def explore_runs(runs: Sequence[ClinicRun]) -> Explorer:
    """Return the clinic of these runs."""
    by_key = {run.key: run for run in runs}
    limits = {patient: _limits([run for run in runs if run.patient == patient]) for patient in PATIENTS}
    return tabled_explorer("clinic", State(), partial(compute, runs=by_key, limits=limits), still)


def compute(state: State, runs: Runs, limits: Mapping[str, np.ndarray]) -> Result:
    """Look up both runs, and examine the reader's where it stops."""
    patient, how = PATIENTS[state.patient], regimen(state.patient, state.factor, state.change)
    first, run = runs[state.patient, patient.regimen.label], runs[state.patient, how.label]
    before, now = (each.course(state.stop) for each in (first, run))
    cured = patient.is_cured(now)
    return Result(
        *_curves(first), *_curves(run), _seen(before), _seen(now), limits[state.patient], words(patient.regimen),
        words(how), patient.cured, cured, sentence(state, run, now, cured),
    )  # fmt: skip


def words(how: Regimen) -> str:
    """Say how a run is trained: what every run has, then what is unusual."""
    unusual = [
        f"warm-up over {how.warm_up} steps" if how.warm_up > 1 else "",
        f"clip at {how.clip:g}" if how.clip else "",
        f"dropout {how.dropout:g}" if how.dropout else "",
        how.dtype if how.dtype != "float32" else "",
        "every 4th batch Austen" if how.old else "",
    ]
    usual = [f"rate {how.lr:.2g}", f"α {how.alpha:g}", f"rank {how.r}", f"on {WORDS[how.where]}"]
    return ", ".join([*usual, *filter(None, unusual)])


def sentence(state: State, run: ClinicRun, now: Course, cured: bool) -> str:
    """Say what became of the run, and whether the complaint is gone."""
    verdict = "Cured." if cured else "Not cured."
    if not now.is_number:
        return f"NaN after {len(run.seen)} of {state.stop} steps. {verdict}"
    learned = f"{abs(now.learned):.2f} {'below' if now.learned >= 0 else 'above'} the base"
    rose = f"it rose by {now.rise:.2f} on the way" if now.rise >= 0.005 else "it never rose"
    return f"After {state.stop} steps {now.end:.2f} nats, {learned}; {rose}; drift {now.drift:.2f}. {verdict}"


def _curves(run: ClinicRun) -> tuple[np.ndarray, ...]:
    own = [(step, loss) for step, loss in enumerate(run.seen, 1) if loss is not None]
    new = zip((0, *LOOKS), (run.start, *run.new), strict=False)
    drift = zip((0, *STOPS), (0.0, *run.drift), strict=False)
    return tuple(_numbers(list(curve)).T.copy() for curve in (own, new, drift))


def _seen(at: Course) -> np.ndarray:
    return _numbers(astuple(at) if at.is_number else ())


def _numbers(values: Sequence) -> np.ndarray:
    return np.array(values, np.float32)


def _limits(runs: Sequence[ClinicRun]) -> np.ndarray:
    """Return what is drawn of a patient's losses: from the lowest to a nat above the base."""
    losses = [loss for run in runs for loss in (*run.new, *run.seen) if loss is not None]
    return _numbers([min(losses) - 0.1, min(max(losses), runs[0].start + ABOVE) + 0.1])


def still(state: State, result: Result) -> "Figure":
    """Draw both panels without a browser."""
    figure = style.figure(5.2, 3.1)
    figure.suptitle(
        f"{state.patient}: {result.sentence}", color=style.NEUTRAL.text, fontsize=9, x=0.01, ha="left", wrap=True
    )
    left = style.axes(figure, "", "step", "loss (nats)", (1, 2, 1))
    right = style.axes(figure, "", "step", "drift on Austen (nats)", (1, 2, 2))
    for name, colour, dash, seen, new, drift in (
        ("yours", style.variant("LoRA").light, "-", result.seen, result.new, result.drift),
        ("patient", style.NEUTRAL.text, "--", result.seen_before, result.new_before, result.drift_before),
    ):
        left.plot(*seen, color=colour, linewidth=0.8, alpha=0.4)
        left.plot(*new, color=colour, linestyle=dash, label=name)
        right.plot(*drift, color=colour, linestyle=dash)
    left.axhline(result.new[1, 0], color=style.NEUTRAL.text, linestyle=":", linewidth=1)
    left.set_ylim(*result.limits)
    left.legend(frameon=False, labelcolor=style.NEUTRAL.text, fontsize=8)
    return figure
