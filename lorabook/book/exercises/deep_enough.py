"""Exercise: the smallest group with which the last token of a training text hears of the first one."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise, Mistake


@dataclass(frozen=True)
class Plan:
    """How long the texts are, and how many layers the model has."""

    length: int
    layers: int

    @property
    def given(self) -> dict[str, object]:
        return {"length": self.length, "layers": self.layers}


CASES = 12


def draw_cases(stream: random.Random) -> list[Plan]:
    """Return many plans, for a group is a small number; one has a single layer, in one all divides evenly."""
    drawn = [Plan(stream.randint(60, 240), stream.randint(2, 9)) for _ in range(CASES - 2)]
    return [Plan(stream.randint(60, 240), 1), Plan(64, 7), *drawn]


def even(group: float) -> int:
    """Return the smallest even number that is not below."""
    return 2 * math.ceil(group / 2)


def answer(
    c: Plan,
    pieces: Callable[[int], int] = lambda n: n + 1,
    whole: Callable[[float], float] = lambda group: even(group),
    needed: Callable[[int, int], float] = lambda length, pieces: 2 * length / pieces,
) -> float:
    """Return 2·⌈L/(n + 1)⌉: n layers reach n pieces of g/2 back, beside the one that the token stands in."""
    return float(whole(needed(c.length, pieces(c.layers))))


OWN_PIECE = (
    "You are on the safe side, and one piece too far: the last token stands in a piece of g/2 already, so n layers "
    "make n + 1 of them. Asked is the smallest group."
)
ONE_MORE = "Your group is too small by one piece: n layers reach n pieces of g/2 back, and make n + 1 with its own."
WHOLE_HOPS = "You let each layer go a whole group back. It goes half a group: one head's border lies in the middle."
ODD = "Your group is large enough and may be odd. Asked is an even one, so that g/2 is whole."
ROUNDED_DOWN = "You round down. Where it does not come out even, the first tokens are then out of reach."
DOWN_AND_ODD = "You round down, and the group may be odd. It must be even, and large enough for the first token."
PIECE = "You return the piece, g/2. Asked is g."
ALONE = "You return a group as long as the text: that is without the shift. The shifted heads carry it on."
QUARTER = "You return L/4, the paper's choice, whatever the depth. Asked is what this depth needs."

MISTAKES = (
    Mistake("own-piece", OWN_PIECE, {"pieces": lambda n: n}, points=0.5),
    Mistake("one-more", ONE_MORE, {"pieces": lambda n: n + 2}),
    Mistake("whole-hops", WHOLE_HOPS, {"needed": lambda length, pieces: length / pieces}),
    Mistake("odd", ODD, {"whole": math.ceil}, points=0.5),
    Mistake("rounded-down", ROUNDED_DOWN, {"whole": lambda group: 2 * math.floor(group / 2)}),
    Mistake("down-and-odd", DOWN_AND_ODD, {"whole": math.floor}),
    Mistake("piece", PIECE, {"whole": lambda group: even(group) // 2}),
    Mistake("alone", ALONE, {"needed": lambda length, pieces: length}),
    Mistake("quarter", QUARTER, {"needed": lambda length, pieces: length / 4}),
)

EXERCISE = Exercise(
    title="A group for your depth",
    function="group_for",
    difficulty=2,
    minutes=10,
    prompt=(
        "You train with shifted groups on texts of `length` tokens, and your model has `layers` layers. Write "
        "`group_for(length, layers)`: the smallest even group with which, while training, the last token still hears "
        "of the first. The group need not divide the length. (With L = 64, seven layers need 16.)"
    ),
    hints=(
        "Cut the text into pieces of g/2. An unshifted head joins pieces 0 and 1, 2 and 3, …; which does a shifted "
        "one join?",
        "So a layer carries one piece further. The last token stands in a piece of its own: how many can n layers "
        "make?",
        "n + 1 pieces of g/2 must hold L tokens: g/2 is L/(n + 1), rounded up to a whole number.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
)
