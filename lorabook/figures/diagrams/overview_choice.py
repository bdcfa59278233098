"""The flow chart that chooses: a list of questions, each of which adds a variant or leaves LoRA as it is."""

from dataclasses import dataclass

from lorabook.figures.drawing import Drawing

WIDE, LINE, TOP, QUESTION = 860, 46, 84, 400


@dataclass(frozen=True)
class Choice:
    """A question; what to take if the answer is yes; why."""

    question: str
    take: tuple[str, ...]
    because: str


CHOICES = (
    Choice("Does the frozen model not fit in memory?", ("QLoRA",), "W₀ in 4.1 bits a weight"),
    Choice("Do activations not fit either?", ("LoRA-FA",), "r numbers a token, not d_in, kept backwards"),
    Choice("Are the texts longer than the model has seen?", ("LongLoRA",), "L·g scores instead of L²"),
    Choice("Is the rank large, 32 or more?", ("rsLoRA",), "the step does not fade with r"),
    Choice("Should the start know W₀?", ("PiSSA", "OLoRA"), "its top directions; an orthonormal basis"),
    Choice("Does B lag behind A?", ("LoRA+",), "a larger step for B alone"),
    Choice("Is BA too narrow for what must be learnt?", ("LoHa", "LoKr", "HiRA", "MELoRA"), "more rank per number"),
    Choice("Must lengths and directions move apart?", ("DoRA",), "one trained length a row"),
    Choice("Must the file be tiny?", ("VeRA", "LoRA-drop"), "vectors only; fewer layers"),
    Choice("Do layers need different ranks?", ("AdaLoRA",), "a budget shared by importance"),
    Choice("Is the rank chosen after training?", ("DyLoRA",), "every smaller rank works"),
    Choice("Do tasks come one after another?", ("O-LoRA",), "new directions avoid the old ones"),
    Choice("Are there adapters for related tasks?", ("LoRAHub",), "weights found without gradients"),
    Choice("Do many adapters share a server?", ("S-LoRA",), "one base, pages of adapters"),
    Choice("Must no client's data be seen?", ("DP-DyLoRA",), "clipped, noised, averaged; ε counted"),
)


def draw() -> Drawing:
    drawing = Drawing("Start with LoRA on every linear layer; each yes adds a variant to it",
                      WIDE, TOP + LINE * len(CHOICES) + 34)  # fmt: skip
    spine = 48
    drawing.frame(spine - 24, TOP - 34, 76, 24, "trainable", line=2)
    drawing.text(spine + 14, TOP - 17, "LoRA", size=13, bold=True)
    drawing.line([(spine, TOP - 10), (spine, TOP + LINE * len(CHOICES) - 10)], "quiet", arrow=True)
    for place, choice in enumerate(CHOICES):
        y = TOP + LINE * place + 14
        drawing.dot(spine, y, "frozen", size=6)
        drawing.text(spine + 18, y + 5, choice.question, size=14, anchor="start")
        drawing.line([(QUESTION, y), (QUESTION + 46, y)], "quiet", arrow=True)
        drawing.text(QUESTION + 20, y - 5, "yes", size=11, role="quiet")
        x = QUESTION + 54
        for name in choice.take:
            width = 7.6 * len(name) + 16
            drawing.rect(x, y - 12, width, 24, "trainable")
            drawing.text(x + width / 2, y + 5, name, size=13, role="on-trainable", bold=True)
            x += width + 6
        drawing.text(QUESTION + 54, y + 26, choice.because, size=11, anchor="start", role="quiet")
    drawing.text(spine - 24, TOP + LINE * len(CHOICES) + 12, "train it", size=13, anchor="start", bold=True)
    return drawing
