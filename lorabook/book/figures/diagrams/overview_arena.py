"""The arena: how far every variant ends from LoRA, at equal parameters, each at its own tuned rate."""

from lorabook.arena.answers import Compared, read
from lorabook.arena.record import Record
from lorabook.arena.tasks import TASKS
from lorabook.book.figures.drawing import Drawing

LINE, TOP, NAMES, WIDE, APART, NARROWEST = 24, 104, 190, 180, 22, 1030
KEY = (
    "Filled: decided (paired t over ten seeds, Holm over the task). Open: no difference found. "
    "At the edge: further away. The dotted line: LoRA."
)
UNDECIDED = "no difference found at this size"


def draw() -> Drawing:
    """Draw what the record has; a task that has not been compared yet stays away."""
    found = [each for each in read(Record().folder).comparisons if each.budget == "equal"]
    tasks = [task for task in TASKS if any(each.task == task.name for each in found)]
    by = {(each.method, each.task): each for each in found}
    names = sorted({each.method for each in found}, key=lambda name: _order(name, tasks, by))
    width = max(NARROWEST, NAMES + (WIDE + APART) * len(tasks) + 30)
    drawing = Drawing(_message(found), width, TOP + LINE * len(names) + 56)
    for i, name in enumerate(names):
        drawing.text(NAMES - 12, TOP + LINE * i + 16, name, anchor="end")
    for column, task in enumerate(tasks):
        _column(drawing, NAMES + (WIDE + APART) * column, task.name, task.unit, names, by)
    drawing.note(24, TOP + LINE * len(names) + 40, KEY, anchor="start")
    return drawing


def _message(found: list[Compared]) -> str:
    better = len({each.method for each in found if each.says == "better"})
    all_of_them = len({each.method for each in found})
    return f"At equal parameters {better} of {all_of_them} variants end below LoRA on one task or more"


def _order(name: str, tasks: list, by: dict[tuple[str, str], Compared]) -> float:
    """Return the mean place among all; those who miss a task stand by the others."""
    places = []
    for task in tasks:
        own = sorted((each.difference, each.method) for (_, on), each in by.items() if on == task.name)
        places += [i / len(own) for i, (_, method) in enumerate(own) if method == name]
    return sum(places) / len(places)


def _column(drawing: Drawing, x: float, task: str, unit: str, names: list[str], by: dict) -> None:
    here = [by[name, task] for name in names if (name, task) in by]
    edge = sorted(abs(each.difference) for each in here)[int(0.8 * (len(here) - 1))] or 1.0
    middle, bottom = x + WIDE / 2, TOP + LINE * len(names)
    drawing.heading(middle, TOP - 30, task, anchor="middle")
    drawing.note(middle, TOP - 14, unit)
    drawing.line([(middle, TOP - 4), (middle, bottom)], "reference", width=1)
    for i, name in enumerate(names):
        y = TOP + LINE * i + 12
        drawing.line([(x, y), (x + WIDE, y)], "grid", width=0.6)
        if (name, task) in by:
            _dot(drawing, middle, y, by[name, task], edge)
        else:
            drawing.note(middle + 8, y + 4, "cannot be had", anchor="start")
    for place, value, anchor in ((0.0, -edge, "start"), (0.5, 0.0, "middle"), (1.0, edge, "end")):
        drawing.note(x + WIDE * place, bottom + 15, f"{value:+.2g}" if value else "0", anchor=anchor)


def _dot(drawing: Drawing, middle: float, y: float, each: Compared, edge: float) -> None:
    share = max(-1.0, min(1.0, each.difference / edge))
    x = middle + share * WIDE / 2
    drawing.dot(x, y, "frozen" if each.says == UNDECIDED else "trainable", size=5)
    if each.says == UNDECIDED:
        drawing.dot(x, y, "ground", size=3)
