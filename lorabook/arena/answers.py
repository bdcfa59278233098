"""What was decided, kept beside the rows, so that a reader of the book needs no statistics package to read it."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lorabook.arena.budget import BUDGETS
from lorabook.arena.decide import decide
from lorabook.arena.experiment import Unanswered
from lorabook.arena.experiments import EXPERIMENTS
from lorabook.arena.job import Job, Row
from lorabook.arena.methods import BASELINE, METHODS
from lorabook.arena.plan import FEW, Place, baseline, grouped, places, reporting
from lorabook.arena.summary import reported
from lorabook.arena.tasks import TASKS
from lorabook.core.whole_file import replace_whole

FILE = "answers.json"


@dataclass(frozen=True)
class Answered:
    """A question with its answer; `verdict` is "not yet" while runs are missing."""

    name: str
    question: str
    verdict: str
    says: str


@dataclass(frozen=True)
class Compared:
    """A contender against LoRA on a task; see `decide.Verdict` for the numbers."""

    method: str
    task: str
    budget: str
    seeds: int
    difference: float
    p: float
    visible: float
    says: str

    @property
    def place(self) -> Place:
        """Who, on what, with which budget."""
        return Place(self.method, self.task, self.budget)


@dataclass(frozen=True)
class Answers:
    """The nine questions, and every contender against LoRA: one family of comparisons a task."""

    questions: tuple[Answered, ...]
    comparisons: tuple[Compared, ...]


def work_out(rows: Sequence[Row]) -> Answers:
    """Ask the rows; needs scipy and statsmodels."""
    return Answers(tuple(_answered(rows)), tuple(_compared(rows)))


def write(answers: Answers, folder: Path) -> Path:
    """Write them beside the rows, and return the file."""
    path = folder / FILE
    text = json.dumps(asdict(answers), ensure_ascii=False, indent=1) + "\n"
    replace_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))
    return path


def read(folder: Path) -> Answers:
    """Read what was written; nothing where there is no file."""
    path = folder / FILE
    if not path.is_file():
        return Answers((), ())
    entries = json.loads(path.read_text(encoding="utf-8"))
    return Answers(
        tuple(Answered(**each) for each in entries["questions"]),
        tuple(Compared(**each) for each in entries["comparisons"]),
    )


def _is_reported(group: dict[Job, Row], place: Place) -> bool:
    return {row.seed for row in reported(group)} >= set(reporting(place))


def _answered(rows: Sequence[Row]) -> Iterable[Answered]:
    for experiment in EXPERIMENTS:
        try:
            verdict, says = experiment.answer(rows)
        except Unanswered as missing:
            verdict, says = "not yet", str(missing)
        yield Answered(experiment.name, experiment.question, verdict, says)


def _compared(rows: Sequence[Row]) -> Iterable[Compared]:
    groups = grouped(rows)
    for task in TASKS:
        there = [p for p in places(METHODS, [task], BUDGETS) if len(reporting(p)) > FEW and _is_reported(groups[p], p)]
        if baseline(task.name) not in there:
            continue
        pairs = [(place, baseline(task.name)) for place in there if place.method != BASELINE]
        for v in decide(rows, pairs):
            numbers = (float(f"{number:.4g}") for number in (v.difference, v.p, v.visible))
            yield Compared(*v.place, v.seeds, *numbers, v.says)
