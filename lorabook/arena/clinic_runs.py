"""The clinic's trainings, kept in one file: every patient at every rate, and with every change of one thing besides.

    python -c "from lorabook.arena.clinic_runs import record; record()"

trains what the file does not have yet, about ten minutes of processor time in all. One seed.
"""

import copy
import datetime
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from itertools import product
from pathlib import Path

import torch
from torch import Tensor, nn

from lorabook.arena.clinic import CHANGES, FACTORS, PATIENTS, Regimen, regimen
from lorabook.arena.clinic_course import LOOKS, STEPS, STOPS, Course, course
from lorabook.arena.clinic_lessons import ANSWER, OLD, in_turn
from lorabook.arena.on_text import TINY
from lorabook.arena.run import device, versions
from lorabook.core.fit import cross_entropy, fit
from lorabook.core.inject import inject
from lorabook.core.lora import LoRA
from lorabook.core.modes import evaluating
from lorabook.core.training_step import Batch, Diverged
from lorabook.models.paths import data_dir, data_file
from lorabook.tasks.drift import kl_from_base

FILE = "recorded/clinic.jsonl"
SEED = 0


@dataclass(frozen=True)
class ClinicRun:
    """One training.

    seen: the loss of each step's own batch; None where the batch was Austen's.
    new, drift: the lesson's score at `LOOKS`, and KL(base ‖ adapted) on Austen at `STOPS`, nats per token.
    A run that ended in NaN has as many as it came to; start is the base's score.
    """

    patient: str
    regimen: str
    start: float
    seen: list[float | None]
    new: list[float]
    drift: list[float]
    on: str

    @property
    def key(self) -> tuple[str, str]:
        """What was asked for."""
        return self.patient, self.regimen

    def course(self, stop: int = STEPS) -> Course:
        """Return what is seen of it if it is stopped after `stop` steps."""
        return course(self.start, self.new, self.drift, stop)


def asked() -> Iterator[tuple[str, Regimen]]:
    """Yield every patient's regimens once."""
    for patient in PATIENTS:
        yield from dict.fromkeys((patient, regimen(patient, *how)) for how in product(FACTORS, CHANGES))


def record(path: Path | None = None) -> None:
    """Train what is missing in the file, and add a line for each run as it ends."""
    path = path or data_dir() / FILE
    done = {run.key for run in read(path)} if path.exists() else set()
    for patient, how in asked():
        if (patient, how.label) not in done:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(train(patient, how)), ensure_ascii=False, separators=(",", ":")) + "\n")


def read(path: Path | None = None) -> list[ClinicRun]:
    """Return every recorded run."""
    lines = (path or data_file(FILE)).read_text(encoding="utf-8").splitlines()
    return [ClinicRun(**json.loads(line)) for line in lines]


def train(patient: str, how: Regimen, seed: int = SEED) -> ClinicRun:
    """Train once, and look at it on the way; the record has one seed."""
    lesson, model = PATIENTS[patient].lesson, copy.deepcopy(TINY.loaded.model)
    seen, new, drift = [], [], []
    inject(model, LoRA(how.r, how.alpha, dropout=how.dropout), how.where, torch.Generator().manual_seed(seed))
    model.to(getattr(torch, how.dtype))  # the adapters as well: by itself `inject` keeps them in float32

    def heard(model: nn.Module, batch: Batch) -> Tensor:
        value = cross_entropy(model, batch)
        old = how.old and (len(seen) + 1) % ANSWER == 0
        seen.append(None if old else round(value.item(), 2))
        return value

    def look(step: int, loss: float) -> None:
        if step + 1 in LOOKS:
            new.append(round(lesson.score(model), 3))
        if step + 1 in STOPS:
            with evaluating(model):
                drift.append(round(kl_from_base(model, OLD.pieces), 3))

    stream = lesson.stream(seed)
    torch.manual_seed(seed)
    try:
        fit(
            model, in_turn(stream, seed) if how.old else stream, steps=STEPS, lr=how.lr, schedule=how.factor,
            clip=how.clip or None, loss=heard, on_step=look, progress=False,
        )  # fmt: skip
    except Diverged:
        pass  # the lists end where it stopped being a number: that is what is recorded
    start = round(lesson.score(TINY.loaded.model), 3)
    on = f"{device()}, {versions()}, {datetime.date.today().isoformat()}"
    return ClinicRun(patient, how.label, start, seen, new, drift, on)


@cache
def recorded() -> dict[tuple[str, str], ClinicRun]:
    """Return every recorded run by patient and regimen."""
    return {run.key: run for run in read()}


def seen(patient: str, factor: str = "× 1", change: str = "nothing", stop: int = STEPS) -> Course:
    """Return what is seen of a recorded run: of the patient's own if nothing is changed."""
    return recorded()[patient, regimen(patient, factor, change).label].course(stop)
