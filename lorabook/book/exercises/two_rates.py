"""Exercise: LoRA+'s two groups, for the names that PEFT gives: B's rate, and a weight decay for all."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise, Mistake
from lorabook.book.classroom.plain import Matrix


@dataclass(frozen=True)
class Trained:
    """The names of what trains, and the trainer's settings."""

    names: list[str]
    lr: float
    ratio: float
    decay: float

    @property
    def given(self) -> dict[str, object]:
        return {"names": self.names, "lr": self.lr, "ratio": self.ratio, "decay": self.decay}


def draw_cases(stream: random.Random) -> list[Trained]:
    """Return one layer, then two adapters with a capital B in their name: on an embedding, beside a trained head."""
    linear = [f"layers.{stream.randint(0, 9)}.q_proj.lora_{x}.default.weight" for x in "AB"]
    bible = [f"embed_tokens.lora_embedding_{x}.Bible" for x in "AB"]
    bible += [f"layers.{stream.randint(0, 9)}.v_proj.lora_{x}.Bible.weight" for x in "AB"]
    books = [f"layers.{stream.randint(0, 9)}.up_proj.lora_{x}.Books.weight" for x in "AB"]
    books += ["layers.0.up_proj.lora_magnitude_vector.default.weight", "score.weight"]
    for names in (linear, bible, books):
        stream.shuffle(names)
    settings = ((0.02, 8.0, 0.1), (0.04, 5.0, 0.3), (0.05, 6.0, 0.2))
    return [Trained(names, *each) for names, each in zip((linear, bible, books), settings, strict=True)]


def _is_a(name: str) -> bool:
    return "_A." in name


def _is_b(name: str) -> bool:
    return "_B." in name


def answer(
    c: Trained,
    fast: Callable[[str], bool] = _is_b,
    slow_rate: Callable[[Trained], float] = lambda c: c.lr,
    fast_rate: Callable[[Trained], float] = lambda c: c.ratio * c.lr,
    decay_of_fast: float = 1.0,
) -> Matrix:
    """Return rate and weight decay of each name. Source: Hayou, Ghosh, Yu 2024 (2402.12354), section 5."""
    return [[fast_rate(c), decay_of_fast * c.decay] if fast(name) else [slow_rate(c), c.decay] for name in c.names]


PULLED = (
    "That is the pull request. In the name of an adapter called Bible there is a B, so its A is sped up too, and what "
    "is sped up no longer decays."
)
ANY_B = "A capital B anywhere makes a parameter fast. An adapter may be called Bible; look at the factor's own part."
NO_DECAY = "The fast group has lost its weight decay. A group that does not name it has the optimiser's default."
NO_EMBEDDING = "The B of an embedding stays slow: PEFT calls it lora_embedding_B, and lora_B is no part of that name."
ON_A = "The ratio stands on A. In LoRA+ it is B that learns faster."
NOT_A = "All that is not A is fast: DoRA's magnitudes and a trained head too. They keep lr; only B is sped up."
SLOWED = "You keep B at lr and slow A down. The ratio is right, but lr is A's: B gets ratio·lr."
DIVIDED = "You divide B's rate by the ratio. B is the faster one: ratio·lr."
ALONE = "B's rate is the ratio alone. It is ratio times lr."

MISTAKES = (
    Mistake("pulled", PULLED, {"fast": lambda name: "B" in name, "decay_of_fast": 0.0}),
    Mistake("any-b", ANY_B, {"fast": lambda name: "B" in name}),
    Mistake("no-decay", NO_DECAY, {"decay_of_fast": 0.0}, points=0.5),
    Mistake("no-embedding", NO_EMBEDDING, {"fast": lambda name: "lora_B" in name}, points=0.5),
    Mistake("on-a", ON_A, {"fast": _is_a}),
    Mistake("not-a", NOT_A, {"fast": lambda name: not _is_a(name)}),
    Mistake("slowed", SLOWED, {"slow_rate": lambda c: c.lr / c.ratio, "fast_rate": lambda c: c.lr}, points=0.5),
    Mistake("divided", DIVIDED, {"fast_rate": lambda c: c.lr / c.ratio}),
    Mistake("alone", ALONE, {"fast_rate": lambda c: c.ratio}),
)

EXERCISE = Exercise(
    title="Two groups of one optimiser",
    function="groups",
    difficulty=2,
    minutes=5,
    prompt=(
        "A pull request brings LoRA+ to a trainer that has a weight decay:\n\n```python\n"
        'return [(ratio * lr, 0.0) if "B" in name else (lr, decay) for name in names]\n```\n\n'
        "Its test has two names, `q_proj.lora_A.default.weight` and `q_proj.lora_B.default.weight`, and a decay of 0. "
        "Write `groups(names, lr, ratio, decay)`, which returns a pair (rate, weight decay) for each name: ratio·lr "
        "for every B, lr for the rest, and the same decay for all. Names are PEFT's. The part behind the factor is the "
        "adapter's name, which is free: `v_proj.lora_A.Bible.weight`. On an embedding the factors are called "
        "`embed_tokens.lora_embedding_A.Bible` and `….lora_embedding_B.Bible`. A head, `score.weight`, may train too."
    ),
    hints=(
        "Say for `v_proj.lora_A.Bible.weight` which branch the pull request takes.",
        'Compare whole parts of the name: `name.split(".")`. B is called lora_B, or lora_embedding_B.',
        'b = {"lora_B", "lora_embedding_B"}; fast where b & set(name.split(".")); decay in both branches.',
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
)
