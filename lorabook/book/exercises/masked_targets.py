"""Exercise: the targets of a chat, with a mask that says which tokens are trained."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise, Mistake

IGNORED = -100


@dataclass(frozen=True)
class Chat:
    """Token numbers, and for each of them 1 if it is to be trained."""

    tokens: tuple[int, ...]
    trained: tuple[int, ...]

    @property
    def given(self) -> dict[str, object]:
        return {"tokens": list(self.tokens), "trained": list(self.trained)}


def draw_cases(stream: random.Random) -> list[Chat]:
    """Return one answer with a line break behind it, two answers, and one that the text ends on."""
    shapes = ((stream.randint(3, 5), 3, 2), (3, 2, stream.randint(2, 3), 4, 1), (4, stream.randint(2, 4)))
    cases = []
    for lengths in shapes:
        trained = tuple(k % 2 for k, n in enumerate(lengths) for _ in range(n))
        cases.append(Chat(tuple(stream.sample(range(3, 90), len(trained))), trained))
    return cases


def follows(c: Chat, k: int) -> bool:
    """Say whether the token after place k is trained."""
    return bool(c.trained[k + 1])


def after_next(c: Chat, k: int) -> bool:
    """Say whether the token two places on is trained."""
    return k + 2 < len(c.trained) and bool(c.trained[k + 2])


Token = Callable[[Chat, int], int]
On = Callable[[Chat, int], bool]


def answer(
    c: Chat,
    token: Token = lambda c, k: c.tokens[k + 1],
    on: On = follows,
    ignored: int = IGNORED,
    places: Callable[[Chat], int] = lambda c: len(c.tokens) - 1,
) -> list[float]:
    """Return, for every token but the last, the one that follows if that is trained, and else −100."""
    return [float(token(c, k) if on(c, k) else ignored) for k in range(places(c))]


EARLY = (
    "That is the pull request: place k asks whether its own token is trained. So the first token of every answer is "
    "left out, and what stands behind the answer is trained in its place. Ask the token that follows."
)
LATE = "The mask is one place late: the last token of every answer, its end mark, is left out."
ITSELF = "Place k gets its own token as the target. It predicts the next one: tokens[k + 1]."
LABELS = (
    "These are labels as transformers wants them: as long as the chat, because its model shifts them itself. Here "
    "place k is given the target of place k, so there is one fewer than there are tokens."
)
INVERTED = "You train the questions and leave out the answers."
ZERO = "A place that is not trained gets 0, which is a token. Cross-entropy leaves out −100."
UNMASKED = "Every token is trained: the mask is not used."

MISTAKES = (
    Mistake("early", EARLY, {"on": lambda c, k: bool(c.trained[k])}),
    Mistake("late", LATE, {"on": after_next}),
    Mistake("itself", ITSELF, {"token": lambda c, k: c.tokens[k]}),
    Mistake(
        "labels",
        LABELS,
        {
            "token": lambda c, k: c.tokens[k],
            "on": lambda c, k: bool(c.trained[k]),
            "places": lambda c: len(c.tokens),
        },
        points=0.5,
    ),
    Mistake("inverted", INVERTED, {"on": lambda c, k: not follows(c, k)}),
    Mistake("zero", ZERO, {"ignored": 0}, points=0.5),
    Mistake("unmasked", UNMASKED, {"on": lambda c, k: True}),
)

EXERCISE = Exercise(
    title="The mask is one place off",
    function="chat_targets",
    difficulty=1,
    minutes=5,
    prompt=(
        "A pull request makes the targets of a chat:\n\n```python\ntargets = [token if on else -100 for token, on in "
        "zip(tokens[1:], trained)]\n```\n\nThe loss falls, and the model answers everything but the first word. Write "
        "`chat_targets(tokens, trained)`: for every token but the last one the token that follows it, or −100 if that "
        "is not trained. `trained` has a 1 for every token of an answer and its end mark, and 0 for all others."
    ),
    hints=(
        "Write a chat of four tokens on paper, the last two trained. Which places predict a trained token?",
        "Place k predicts token k + 1. Whose mask decides?",
        "Both lists start at 1: zip(tokens[1:], trained[1:]).",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
)
