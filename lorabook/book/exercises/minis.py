"""Exercise: ΔW of MELoRA out of its minis, for an export to a server that knows no MELoRA."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise, Mistake
from lorabook.book.classroom.plain import Array, Matrix, draw, times


@dataclass(frozen=True)
class Minis:
    """n minis on slices: A_i is r × d_in/n and B_i is d_out/n × r."""

    A: list[Matrix]
    B: list[Matrix]
    s: float

    @property
    def given(self) -> dict[str, object]:
        return {"A": Array(self.A), "B": Array(self.B), "s": self.s}

    @property
    def n(self) -> int:
        return len(self.A)


def draw_cases(stream: random.Random) -> list[Minis]:
    """Return slices that are square, tall and wide; there are always more minis than one."""
    shapes = ((2, 3, 3, 2, 1.7), (3, stream.randint(3, 4), 2, 1, 2.5), (3, 2, stream.randint(4, 5), 3, 0.4))
    return [
        Minis([draw(r, d_in, stream) for _ in range(n)], [draw(d_out, r, stream) for _ in range(n)], s)
        for n, d_out, d_in, r, s in shapes
    ]


def answer(
    c: Minis,
    place: Callable[[int, int], list[tuple[int, int]]] = lambda i, n: [(i, i)],
    by: Callable[[float, int], float] = lambda s, n: s,
    partner: Callable[[int, int], int] = lambda i, n: i,
) -> Matrix:
    """Return s·blockdiag(B₁A₁, …, B_nA_n). Source: Ren et al. 2024 (2402.17263), equation 3."""
    tall, wide = len(c.B[0]), len(c.A[0][0])
    whole = [[0.0] * (wide * c.n) for _ in range(tall * c.n)]
    for i in range(c.n):
        block = times(c.B[partner(i, c.n)], c.A[i])
        for p, q in place(i, c.n):
            for y, line in enumerate(block):
                for x, value in enumerate(line):
                    whole[p * tall + y][q * wide + x] += by(c.s, c.n) * value
    return whole


def _everywhere(i: int, n: int) -> list[tuple[int, int]]:
    return [(p, q) for p in range(n) for q in range(n)]


CORNER = "All minis write into the first slice, and the others get nothing. Mini i belongs to slice i of both sides."
MIRRORED = "The blocks stand on the other diagonal. Outputs of slice i hear inputs of slice i."
ROW = "All minis write to the first slice of the outputs. Each has a slice of outputs of its own."
COLUMN = "All minis read the first slice of the inputs. Each has a slice of inputs of its own."
TILED = "Every mini is in every slice: that is a sum of LoRAs, copied n × n times. Off the diagonal there is nothing."
CROSSED = "B and A of different minis meet. B_i belongs to A_i."
NO_SCALE = "The blocks are not multiplied by s."
SCALE_TWICE = "The blocks are multiplied by s twice."
AVERAGED = "You divide by n. Minis on slices of their own do not add up, so nothing is to be averaged."

MISTAKES = (
    Mistake("corner", CORNER, {"place": lambda i, n: [(0, 0)]}),
    Mistake("mirrored", MIRRORED, {"place": lambda i, n: [(i, n - 1 - i)]}),
    Mistake("row", ROW, {"place": lambda i, n: [(0, i)]}),
    Mistake("column", COLUMN, {"place": lambda i, n: [(i, 0)]}),
    Mistake("tiled", TILED, {"place": _everywhere}),
    Mistake("crossed", CROSSED, {"partner": lambda i, n: n - 1 - i}),
    Mistake("no-scale", NO_SCALE, {"by": lambda s, n: 1.0}, points=0.5),
    Mistake("scale-twice", SCALE_TWICE, {"by": lambda s, n: s * s}, points=0.5),
    Mistake("averaged", AVERAGED, {"by": lambda s, n: s / n}),
)

EXERCISE = Exercise(
    title="Merge the minis",
    function="melora_delta",
    difficulty=2,
    minutes=5,
    prompt=(
        "A pull request merges MELoRA: `delta = s * sum(b @ a for a, b in zip(A, B))`, padded with zeros to the size "
        "of W₀, “because MELoRA is the sum of its minis”. The served model writes nonsense. Write "
        "`melora_delta(A, B, s)`, which returns ΔW of the whole layer: A is n × r × d_in/n and B is n × d_out/n × r, a "
        "mini in each place."
    ),
    hints=(
        "What is the size of one b @ a, and what is that of ΔW? How many of the one fill the other's diagonal?",
        "Outputs of slice i hear inputs of slice i only, so block i stands at row and column i.",
        "`torch.block_diag(*blocks)` builds it, with the blocks B_iA_i; then the scale.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
)
