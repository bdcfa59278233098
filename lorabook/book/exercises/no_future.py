"""Exercise: who sees whom in a shifted head of S²-Attn, for any length, and nobody the future."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise, Mistake
from lorabook.book.classroom.plain import Matrix


@dataclass(frozen=True)
class Text:
    """How many tokens there are, and how many make a group."""

    length: int
    group: int

    @property
    def given(self) -> dict[str, object]:
        return {"length": self.length, "group": self.group}


def draw_cases(stream: random.Random) -> list[Text]:
    """Return a length that the group divides, two that it does not, and a text of less than three groups."""
    return [Text(12, 4), Text(stream.randint(13, 15), 4), Text(stream.randint(19, 22), 6), Text(18, 8)]


Home = Callable[[int, Text], int]
"""The group of a token."""
Sees = Callable[[int, int, Text], bool]
"""Whether token i may see token j, if they share a group."""


def shifted(i: int, c: Text) -> int:
    """Return ⌊(i + g/2)/g⌋."""
    return (i + c.group // 2) // c.group


def place(i: int, c: Text) -> int:
    """Return where token i stands once the text is rolled round by g/2."""
    return (i - c.group // 2) % c.length


def rolled(i: int, c: Text) -> int:
    """Return the group of a token in the rolled text."""
    return place(i, c) // c.group


def past(i: int, j: int, c: Text) -> bool:
    """Let a token see itself and all before it."""
    return j <= i


def answer(c: Text, home: Home = shifted, sees: Sees = past) -> Matrix:
    """Return 1 where token i sees token j. Source: Chen et al. 2023 (2309.12307), section 3.2."""
    tokens = range(c.length)
    return [[float(home(i, c) == home(j, c) and sees(i, j, c)) for j in tokens] for i in tokens]


LEAK = "That is the pull request: rolled round, the first g/2 tokens stand behind the last ones, and see them."
WRAPPED = "The last tokens still share a group with the first ones. No group may hold both ends of the text."
ROLLED_CUT = (
    "Nobody sees the future now, but the groups are still those of the rolled text: where g does not divide the "
    "length, a border lies in the wrong place. Token i belongs to group ⌊(i + g/2)/g⌋."
)
FUTURE = "Rows and columns are exchanged: row i says whom token i sees, and that is j ≤ i."
BOTH_WAYS = "The groups are right, but inside them everybody sees everybody. It must be causal: j ≤ i."
STRICT = "A token does not see itself. It does: j ≤ i, not j < i."
UNSHIFTED = "These are the groups of an unshifted head. A shift by g, or by 0, moves no border; it is g/2."
HALVES = "Your groups hold g/2 tokens. The shift is g/2; a group still holds g."
FULL = "There are no groups: this is full causal attention."

MISTAKES = (
    Mistake("leak", LEAK, {"home": rolled, "sees": lambda i, j, c: place(j, c) <= place(i, c)}),
    Mistake("wrapped", WRAPPED, {"home": rolled}),
    Mistake(
        "rolled-cut", ROLLED_CUT, {"home": rolled, "sees": lambda i, j, c: j <= i and place(j, c) <= place(i, c)},
        points=0.5,
    ),
    Mistake("future", FUTURE, {"sees": lambda i, j, c: j >= i}),
    Mistake("both-ways", BOTH_WAYS, {"sees": lambda i, j, c: True}),
    Mistake("strict", STRICT, {"sees": lambda i, j, c: j < i}),
    Mistake("unshifted", UNSHIFTED, {"home": lambda i, c: i // c.group}),
    Mistake("halves", HALVES, {"home": lambda i, c: 2 * i // c.group}),
    Mistake("full", FULL, {"home": lambda i, c: 0}),
)  # fmt: skip

EXERCISE = Exercise(
    title="Nobody sees the future",
    function="shifted_mask",
    difficulty=2,
    minutes=5,
    prompt=(
        "A pull request writes the mask of a shifted head as the authors' plain path has it, rolled round by half a "
        "group:\n\n```python\nplace = (torch.arange(length) - group // 2) % length\nhome = place // group\n"
        "return (home[:, None] == home) & (place[:, None] >= place)\n```\n\n"
        "Change the last token of a text, and the first output changes. Write `shifted_mask(length, group)`: a boolean "
        "table of length × length that says whether token i (the row) sees token j (the column). The group is even, "
        "and the text may have any length."
    ),
    hints=(
        "Print it for length 8 and group 4. Whom does token 0 see?",
        "Leave the tokens where they are, and move the borders: which formula gives groups of tokens 0 and 1, then 2 "
        "to 5, then 6 to 9?",
        "home = (i + group // 2) // group. Then the same home, and j ≤ i.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
)
