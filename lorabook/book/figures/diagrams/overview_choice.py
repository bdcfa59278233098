"""The flow chart that chooses: questions that can be answered before training, then what was measured.

A question asks for a constraint, never for how a training will go. Among the variants that promise a lower loss at
equal cost the arena's record speaks: how far each ends from LoRA at equal parameters, each at its own tuned rate.
"""

from dataclasses import dataclass

from lorabook.arena.answers import Compared, read
from lorabook.arena.record import Record
from lorabook.arena.tasks import TASKS
from lorabook.book.figures.drawing import Drawing

WIDE, LINE, HEAD, TOP, SPINE, QUESTION, ROW, CELL = 900, 44, 30, 84, 48, 430, 22, 110


@dataclass(frozen=True)
class Choice:
    """A question; what to take if the answer is yes; why."""

    question: str
    take: tuple[str, ...]
    because: str


GROUPS = {
    "It does not fit": (
        Choice("Is the frozen model too large for memory?", ("QLoRA",), "W₀ in 4.1 bits a weight"),
        Choice("Is memory full only at its peaks?", ("paged AdamW",), "the optimiser's state steps aside"),
        Choice("Do activations not fit?", ("LoRA-FA",), "r numbers a token, not d_{in}, kept backwards"),
        Choice("Are the texts longer than the model has seen?", ("LongLoRA",), "L·g scores instead of L²"),
    ),
    "What you hand out is limited": (
        Choice("Must the file be tiny?", ("VeRA", "LoRA-drop"), "vectors only; one adapter for most layers"),
        Choice("Is the rank to be chosen after training?", ("DyLoRA",), "every smaller rank works"),
        Choice("Is there one budget of ranks for all layers?", ("AdaLoRA",), "spent by importance"),
        Choice("Must the rank be 32 or more?", ("rsLoRA",), "the rate that you know needs no new search"),
    ),
    "There are many tasks, users or owners": (
        Choice("Do tasks come one after another?", ("O-LoRA",), "a new A does not read what earlier ones read"),
        Choice("Are there adapters for related tasks?", ("LoRAHub",), "weights found without gradients"),
        Choice("Do many adapters share a server?", ("S-LoRA",), "one base, pages of adapters"),
        Choice("Must no client's data be seen?", ("DP-DyLoRA",), "clipped, noised, averaged; ε counted"),
    ),
}
CHOICES = tuple(choice for group in GROUPS.values() for choice in group)
PROMISE = (
    "LoRA+", "PiSSA", "OLoRA", "QPiSSA", "DoRA", "QDoRA", "LoHa", "LoKr", "HiRA", "MELoRA", "MultiLoRA", "GLoRA",
    "Delta-LoRA",
)  # fmt: skip
"""Variants whose papers report a lower loss at the same number of trained parameters."""
MEASURED = "A lower loss at equal parameters? What was measured: loss above LoRA's, each at its own tuned rate"
KEY = "Below 0 is better. Bold: decided by ten paired seeds. Not bold: no difference found at this size. –: not run."


def draw() -> Drawing:
    """Draw the questions, and the record below them."""
    tall = LINE * len(CHOICES) + HEAD * len(GROUPS)
    below = TOP + tall + 18
    drawing = Drawing(
        "Start with LoRA on every linear layer; each yes adds to it, and the rest is measured",
        WIDE,
        below + HEAD + ROW * (len(PROMISE) + 1) + 40,
    )
    drawing.frame(SPINE - 24, TOP - 34, 76, 24, "trainable", line=2)
    drawing.text(SPINE + 14, TOP - 17, "LoRA", size=13, bold=True)
    drawing.arrow((SPINE, TOP - 10), (SPINE, below))
    y = TOP
    for place, (heading, choices) in enumerate(GROUPS.items()):
        if place % 2 == 0:
            drawing.rect(SPINE + 12, y + 2, WIDE - SPINE - 28, HEAD + LINE * len(choices) - 4, "frozen", faint=0.08)
        drawing.text(SPINE + 24, y + 22, heading, size=13, anchor="start", role="quiet", bold=True)
        y += HEAD
        for choice in choices:
            _choice(drawing, choice, y + 14)
            y += LINE
    _measured(drawing, below)
    return drawing


def _choice(drawing: Drawing, choice: Choice, y: float) -> None:
    drawing.dot(SPINE, y, "frozen", size=6)
    drawing.text(SPINE + 24, y + 5, choice.question, size=14, anchor="start")
    drawing.arrow((QUESTION, y), (QUESTION + 46, y))
    drawing.note(QUESTION + 20, y - 5, "yes")
    x = QUESTION + 54
    for name in choice.take:
        width = 9.4 * len(name) + 10
        drawing.rect(x, y - 12, width, 22, "trainable")
        drawing.text(x + width / 2, y + 4, name, size=13, role="on-trainable", bold=True)
        x += width + 6
    drawing.note(QUESTION + 54, y + 23, choice.because, anchor="start")


def _measured(drawing: Drawing, y: float) -> None:
    """Write how far each variant that promises a lower loss ends from LoRA; in bold where that was decided."""
    found = {(each.method, each.task): each for each in read(Record().folder).comparisons if each.budget == "equal"}
    drawing.text(SPINE - 24, y + 20, MEASURED, size=13, anchor="start", bold=True)
    columns = [QUESTION + CELL * i for i in range(len(TASKS))]
    for x, task in zip(columns, TASKS, strict=True):
        drawing.heading(x + 40, y + HEAD + 14, task.name, anchor="end")
    for i, name in enumerate(PROMISE, 1):
        line = y + HEAD + ROW * i + 14
        drawing.line([(SPINE - 24, line + 6), (WIDE - 24, line + 6)], "grid", width=0.6)
        drawing.text(SPINE - 24, line, name, anchor="start")
        for x, task in zip(columns, TASKS, strict=True):
            _cell(drawing, x + 40, line, found.get((name, task.name)))
    drawing.note(SPINE - 24, y + HEAD + ROW * (len(PROMISE) + 1) + 22, KEY, anchor="start")


def _cell(drawing: Drawing, x: float, y: float, each: Compared | None) -> None:
    if each is None:
        drawing.note(x, y, "–", anchor="end")
    else:
        decided = each.says in ("better", "worse")
        drawing.text(x, y, f"{each.difference:+.3f}", anchor="end", bold=decided, role="text" if decided else "quiet")
