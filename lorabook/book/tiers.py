"""How long a chapter may be: the measure of a core chapter, and that of a short one."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Tier:
    """The most that a chapter of this kind may take of each; what is folded away counts for none of them.

    `seconds` is the running time on two quiet cores; `first_picture` the minute by which the reader has moved one.
    """

    name: str
    minutes: int
    words: int
    code_lines: int
    import_lines: int
    cards: int
    misconceptions: int
    explorers: int
    controls: int
    exercises: int
    first_picture: int
    seconds: int


CORE = Tier(
    "core", minutes=45, words=900, code_lines=80, import_lines=8, cards=7, misconceptions=2, explorers=2, controls=4,
    exercises=2, first_picture=3, seconds=40,
)  # fmt: skip
"""Two explorers: the training explorer, opened on the variant, and the chapter's own."""
SHORT = Tier(
    "short", minutes=25, words=450, code_lines=40, import_lines=6, cards=3, misconceptions=1, explorers=1, controls=4,
    exercises=1, first_picture=3, seconds=20,
)  # fmt: skip
OWN_MODEL = replace(CORE, name="core, own model", seconds=90)
"""A core chapter that loads a model larger than the book's."""

TIERS = {tier.name: tier for tier in (CORE, SHORT, OWN_MODEL)}
