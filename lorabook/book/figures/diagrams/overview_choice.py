"""The flow chart that chooses: a list of questions, each of which adds a variant or leaves LoRA as it is."""

from dataclasses import dataclass

from lorabook.book.figures.drawing import Drawing

WIDE, LINE, HEAD, TOP, SPINE, QUESTION = 900, 44, 30, 84, 48, 410


@dataclass(frozen=True)
class Choice:
    """A question; what to take if the answer is yes; why."""

    question: str
    take: tuple[str, ...]
    because: str


GROUPS = {
    "It does not fit": (
        Choice("Is the frozen model too large for memory?", ("QLoRA",), "W₀ in 4.1 bits a weight"),
        Choice("Is it full only at its peaks?", ("paged AdamW",), "the optimiser's state steps aside"),
        Choice("Do activations not fit?", ("LoRA-FA",), "r numbers a token, not d_{in}, kept backwards"),
        Choice("Are the texts longer than the model has seen?", ("LongLoRA",), "L·g scores instead of L²"),
    ),
    "It learns too little, or too slowly": (
        Choice("Is the rank large, 32 or more?", ("rsLoRA",), "the step does not fade with r"),
        Choice(
            "Should the start know W₀?",
            ("PiSSA", "OLoRA", "QPiSSA"),
            "its top directions; an orthonormal basis; less rounding",
        ),
        Choice("Does B lag behind A?", ("LoRA+",), "a larger step for B alone"),
        Choice("Is BA too narrow for what must be learnt?", ("LoHa", "LoKr", "HiRA", "MELoRA"), "more rank per number"),
        Choice(
            "Must lengths and directions move apart?",
            ("DoRA", "QDoRA"),
            "one trained length a row; on four bits as well",
        ),
        Choice("Must W₀'s scale, or the bias, move too?", ("GLoRA",), "five terms, in sizes you choose"),
        Choice("Should several pairs share the work?", ("MultiLoRA",), "a trained factor for every output and pair"),
        Choice("Must W₀ itself move?", ("Delta-LoRA",), "with a constant λ: LoRA with α(1 + λ), so raise α first"),
    ),
    "It must be small, or not yet decided": (
        Choice("Must the file be tiny?", ("VeRA", "LoRA-drop"), "vectors only; one adapter for most layers"),
        Choice("Do layers need different ranks?", ("AdaLoRA",), "one budget, spent by importance"),
        Choice("Is the rank chosen after training?", ("DyLoRA",), "every smaller rank works"),
    ),
    "There are many tasks, users or owners": (
        Choice("Do tasks come one after another?", ("O-LoRA",), "a new A does not read what earlier ones read"),
        Choice("Are there adapters for related tasks?", ("LoRAHub",), "weights found without gradients"),
        Choice("Do many adapters share a server?", ("S-LoRA",), "one base, pages of adapters"),
        Choice("Must no client's data be seen?", ("DP-DyLoRA",), "clipped, noised, averaged; ε counted"),
    ),
}
CHOICES = tuple(choice for group in GROUPS.values() for choice in group)


def draw() -> Drawing:
    tall = LINE * len(CHOICES) + HEAD * len(GROUPS)
    drawing = Drawing("Start with LoRA on every linear layer; each yes adds a variant to it", WIDE, TOP + tall + 46)
    drawing.frame(SPINE - 24, TOP - 34, 76, 24, "trainable", line=2)
    drawing.text(SPINE + 14, TOP - 17, "LoRA", size=13, bold=True)
    drawing.arrow((SPINE, TOP - 10), (SPINE, TOP + tall + 8))
    y = TOP
    for place, (heading, choices) in enumerate(GROUPS.items()):
        if place % 2 == 0:
            drawing.rect(SPINE + 12, y + 2, WIDE - SPINE - 28, HEAD + LINE * len(choices) - 4, "frozen", faint=0.08)
        drawing.text(SPINE + 24, y + 22, heading, size=13, anchor="start", role="quiet", bold=True)
        y += HEAD
        for choice in choices:
            _choice(drawing, choice, y + 14)
            y += LINE
    drawing.text(SPINE - 24, TOP + tall + 28, "train it", size=13, anchor="start", bold=True)
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
