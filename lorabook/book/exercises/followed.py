"""Exercise: the one matrix that a Delta-LoRA run leaves, W₀ + s·BA + λ·s·(BA − B_KA_K), from what it saved."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise, Mistake
from lorabook.book.classroom.plain import Array, Matrix, draw, plus, scaled, times


@dataclass(frozen=True)
class Saved:
    """W₀ as it was before the training, the factors at step K and at the end, α and λ."""

    w0: Matrix
    A_K: Matrix
    B_K: Matrix
    A: Matrix
    B: Matrix
    alpha: float
    rate: float

    @property
    def s(self) -> float:
        return self.alpha / len(self.A)

    @property
    def given(self) -> dict[str, object]:
        matrices = {"W0": self.w0, "A_K": self.A_K, "B_K": self.B_K, "A": self.A, "B": self.B}
        return {**{name: Array(m) for name, m in matrices.items()}, "alpha": self.alpha, "rate": self.rate}


def draw_cases(stream: random.Random) -> list[Saved]:
    """Return a run from step 0 on, whose B_K is zero, and two that start later; α is never r, λ neither 0 nor 1."""
    shapes = ((5, 7, 3, 7.0, 2.0, True), (stream.randint(6, 8), 5, 2, 5.0, 0.5, False), (6, 6, 4, 6.0, 3.0, False))
    cases = []
    for d_out, d_in, r, alpha, rate, at_once in shapes:
        b_k = [[0.0] * r for _ in range(d_out)] if at_once else draw(d_out, r, stream)
        rows = draw(d_out, d_in, stream), draw(r, d_in, stream), b_k, draw(r, d_in, stream), draw(d_out, r, stream)
        cases.append(Saved(*rows, alpha, rate))
    return cases


def answer(
    c: Saved,
    branch: Callable[[Saved], float] = lambda c: c.s,
    moves: Callable[[Saved], float] = lambda c: c.rate * c.s,
    first: Callable[[Saved], float] = lambda c: 1.0,
) -> Matrix:
    """Return W₀ + s·BA + λ·s·(BA − B_KA_K). Source: 2309.02411, algorithm 1, its moves added up."""
    last, began = times(c.B, c.A), times(c.B_K, c.A_K)
    way = plus(last, scaled(-first(c), began))
    return plus(plus(c.w0, scaled(branch(c), last)), scaled(moves(c), way))


LORA = "You return W₀ + s·BA, as for LoRA. W₀ has moved too: by λ·s·(BA − B_KA_K)."
WAY = "You return W₀ as it has moved, without the branch. The model computes with W₀ and s·BA beside it."
FIRST = (
    "You forget B_KA_K, as in the pull request. W₀ moves from step K on, so its moves add up to λ·s·(BA − B_KA_K); B_K "
    "is zero only where K is 0."
)
UNSCALED = "You move W₀ by λ·(BA − B_KA_K). Its moves have the scale s = α/r too."
NO_SCALE = "Neither the branch nor the moves have the scale α/r. With α = r, as in the pull request's test, it is 1."
ALPHA = "Your scale is α. Divide it by r, the number of A's rows."
SUM = "You add B_KA_K. The first move is B_{K+1}A_{K+1} − B_KA_K: what was there at step K is taken away."
BOTH = "You take B_KA_K from the branch as well. The branch is s·BA whole: W₀ alone waited until step K."

MISTAKES = (
    Mistake("lora", LORA, {"moves": lambda c: 0.0}),
    Mistake("way", WAY, {"branch": lambda c: 0.0}),
    Mistake("first", FIRST, {"first": lambda c: 0.0}),
    Mistake("unscaled", UNSCALED, {"moves": lambda c: c.rate}),
    Mistake("no-scale", NO_SCALE, {"branch": lambda c: 1.0, "moves": lambda c: c.rate}),
    Mistake("alpha", ALPHA, {"branch": lambda c: c.alpha, "moves": lambda c: c.rate * c.alpha}),
    Mistake("sum", SUM, {"first": lambda c: -1.0}),
    Mistake("both", BOTH, {"first": lambda c: (1 + c.rate) / c.rate}),
)

EXERCISE = Exercise(
    title="What a Delta-LoRA run leaves",
    function="after_delta_lora",
    difficulty=2,
    minutes=8,
    prompt=(
        "A pull request merges a Delta-LoRA run for serving, from the W₀ of before and the saved factors:\n\n"
        "```python\nreturn W0 + (1 + rate) * B @ A\n```\n\nIts test has α = r, and W₀ moves from the first step on. "
        "Two things are missing. Write `after_delta_lora(W0, A_K, B_K, A, B, alpha, rate)`: the matrix W that the "
        "model computes with after the run. A_K, B_K are the factors at step K, from which on W₀ followed; A, B those "
        "at the end; A is r × d_in, B is d_out × r, and rate is λ, constant."
    ),
    hints=(
        "What do the moves λ·s·(B_{t+1}A_{t+1} − B_tA_t) add up to, from step K to the end? What stands beside W₀?",
        "W₀ ends at W₀ + λ·s·(BA − B_KA_K), and the branch s·BA comes on top of it. s is α/r.",
        "`s = alpha / A.shape[0]`, then `W0 + s * ((1 + rate) * B @ A - rate * B_K @ A_K)`.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
)
