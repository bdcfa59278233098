"""Exercise: the rank on some matrices that trains as many numbers as rank r on all."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise, Mistake

Shapes = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Budget:
    """The (d_out, d_in) of all matrices of a layer and of the chosen ones, and the rank that all would have."""

    every: Shapes
    chosen: Shapes
    r: int

    @property
    def given(self) -> dict[str, object]:
        return {"every": list(self.every), "chosen": list(self.chosen), "r": self.r}


LLAMA_7B = (*((4096, 4096),) * 4, *((11008, 4096),) * 2, (4096, 11008))


def draw_cases(stream: random.Random) -> list[Budget]:
    """Return two layers where the budget decides, one where a small matrix does, and LLaMA-7B's attention or MLP."""
    sides = stream.sample(range(20, 90), 8)
    layer = tuple(zip(sides[:4], sides[4:], strict=True))
    small = ((stream.randint(5, 8), stream.randint(40, 60)), (stream.randint(50, 70), stream.randint(30, 40)))
    first, second = stream.sample(range(3), 2)
    return [
        Budget(layer, (layer[first], layer[3]), stream.randint(4, 7)),
        Budget(layer, (layer[second],), stream.randint(2, 4)),
        Budget((*small, *layer), small[:1], stream.randint(3, 5)),
        Budget(LLAMA_7B, stream.choice((LLAMA_7B[:4], LLAMA_7B[4:])), stream.choice((8, 16))),
    ]


def _sides(d_out: int, d_in: int) -> int:
    return d_out + d_in


def answer(
    c: Budget,
    each: Callable[[int, int], int] = _sides,
    whole: Callable[[int, int], int] = lambda budget, price: budget // price,
    room: Callable[[Budget], int] = lambda c: min(map(min, c.chosen)),
    goal: Callable[[Budget], Shapes] = lambda c: c.every,
) -> int:
    """Return ⌊r·Σ(d_out + d_in) / Σ chosen (d_out + d_in)⌋, at most the shortest chosen side.

    Source: 2106.09685, section 4.2.
    """
    budget = c.r * sum(each(*shape) for shape in goal(c))
    return min(whole(budget, sum(each(*shape) for shape in c.chosen)), room(c))


DENSE = "You divide d_out·d_in: that is the price of a whole matrix. An adapter costs r·(d_out + d_in)."
BY_NUMBER = "You divide by how many matrices are chosen, as if all had one size. What each costs is r·(d_out + d_in)."
ABOVE = "You round up: that trains more numbers than the budget has."
NEAREST = "You round to the nearest rank, which is sometimes above the budget. Round down."
NO_ROOM = "A matrix has no room for a rank above its shorter side: more directions there are not."
LONGER = "You stop at the longer side. The rank of a matrix is at most its shorter one."
INPUTS = "You count A alone, r·d_in. B has r·d_out numbers."
OUTPUTS = "You count B alone, r·d_out. A has r·d_in numbers."
REST = "Your budget is that of the matrices that are not chosen. It is that of all of them."

MISTAKES = (
    Mistake("dense", DENSE, {"each": lambda o, i: o * i}),
    Mistake("by-number", BY_NUMBER, {"each": lambda o, i: 1}),
    Mistake("inputs", INPUTS, {"each": lambda o, i: i}),
    Mistake("outputs", OUTPUTS, {"each": lambda o, i: o}),
    Mistake("above", ABOVE, {"whole": lambda budget, price: -(-budget // price)}, points=0.5),
    Mistake("nearest", NEAREST, {"whole": lambda budget, price: round(budget / price)}, points=0.5),
    Mistake("no-room", NO_ROOM, {"room": lambda c: 10**9}, points=0.5),
    Mistake("longer", LONGER, {"room": lambda c: min(map(max, c.chosen))}, points=0.5),
    Mistake("rest", REST, {"goal": lambda c: [shape for shape in c.every if shape not in c.chosen]}),
)

EXERCISE = Exercise(
    title="The rank that costs the same",
    function="rank_for",
    difficulty=2,
    minutes=10,
    prompt=(
        "You had rank r on every matrix of a layer, and want the same number of trained numbers on some of them. "
        "`every` lists the (d_out, d_in) of all, `chosen` those of some. Write `rank_for(every, chosen, r)`: the "
        "largest rank on the chosen that trains no more numbers than rank r on all, and for which every chosen matrix "
        "has room."
    ),
    hints=(
        "What does one matrix cost at rank r? A is r × d_in, B is d_out × r.",
        "The budget is r·Σ(d_out + d_in) over all. Divide by Σ(d_out + d_in) over the chosen; which way do you round?",
        "Round down, and take at most the shortest side of all chosen matrices.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
)
