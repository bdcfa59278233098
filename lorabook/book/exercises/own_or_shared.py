"""Exercise: which layers keep their adapter in LoRA-drop, the fewest whose shares of E‖BAx‖² reach T."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise, Mistake
from lorabook.book.classroom.plain import Array, Matrix, draw, scaled, times, turned

MARGIN = 1e-3
LAYERS = 7


@dataclass(frozen=True)
class Trained:
    """For each layer the inputs that reach it, one in each row, and its adapter; and the threshold.

    All layers have one shape, so that those of one letter stand in one tensor.
    """

    x: list[Matrix]
    A: list[Matrix]
    B: list[Matrix]
    T: float

    @property
    def given(self) -> dict[str, object]:
        return {**{name: Array(getattr(self, name)) for name in ("x", "A", "B")}, "T": self.T}


def out(x: Matrix, a: Matrix, b: Matrix) -> Matrix:
    """Return BAx, one in each row."""
    return times(times(x, turned(a)), turned(b))


def squares(a: Matrix) -> float:
    """Return ‖a‖²."""
    return sum(value * value for row in a for value in row)


def effect(x: Matrix, a: Matrix, b: Matrix) -> float:
    """Return E‖BAx‖²."""
    return squares(out(x, a, b)) / len(x)


def size(x: Matrix, a: Matrix, b: Matrix) -> float:
    """Return ‖BA‖²."""
    return squares(times(b, a))


def norm(x: Matrix, a: Matrix, b: Matrix) -> float:
    """Return E‖BAx‖."""
    return sum(sum(value * value for value in row) ** 0.5 for row in out(x, a, b)) / len(x)


def inner(x: Matrix, a: Matrix, b: Matrix) -> float:
    """Return E‖Ax‖²."""
    return squares(times(x, turned(a))) / len(x)


def of_mean(x: Matrix, a: Matrix, b: Matrix) -> float:
    """Return ‖E BAx‖²."""
    return sum((sum(column) / len(x)) ** 2 for column in turned(out(x, a, b)))


EFFECTS = (effect, size, norm, inner, of_mean)
Stop = Callable[[Sequence[float], float], int]


def reaching(shares: Sequence[float], t: float) -> int:
    """Return the fewest of the first shares that reach T."""
    return next(n for n in range(len(shares) + 1) if sum(shares[:n]) >= t)


def below(shares: Sequence[float], t: float) -> int:
    """Return the most of the first shares that stay below T."""
    return reaching(shares, t) - 1


def above_mean(shares: Sequence[float], t: float) -> int:
    """Return how many shares are above the mean."""
    return sum(share > 1 / len(shares) for share in shares)


def answer(
    c: Trained,
    g: Callable[[Matrix, Matrix, Matrix], float] = effect,
    stop: Stop = reaching,
    largest_first: bool = True,
    own: float = 1.0,
) -> list[float]:
    """Return 1 for each layer that keeps its own, 0 for each that shares. Source: 2402.07721, section 3.2."""
    shares = _shares(c, g)
    order = sorted(range(len(shares)), key=shares.__getitem__, reverse=largest_first)
    kept = order[: stop([shares[i] for i in order], c.T)]
    return [own if i in kept else 1 - own for i in range(len(shares))]


def _shares(c: Trained, g: Callable[[Matrix, Matrix, Matrix], float]) -> list[float]:
    found = [g(*each) for each in zip(c.x, c.A, c.B, strict=True)]
    return [each / sum(found) for each in found]


def draw_cases(stream: random.Random) -> list[Trained]:
    """Return five models of seven layers; no sum of shares lies where rounding would decide.

    In one of them norms that are not squared keep more than one layer too many, so that no second mistake hides them.
    """
    while True:
        cases = [_model(stream, t) for t in (0.5, 0.7, 0.8, 0.9, 0.95)]
        if any(answer(case) != answer(case, g=norm, stop=below) for case in cases):
            return cases


def _model(stream: random.Random, t: float) -> Trained:
    while True:
        d_out, d_in = stream.randint(5, 7), stream.randint(3, 4)
        x = [scaled(stream.choice((0.4, 1.0, 2.5)), draw(6, d_in, stream)) for _ in range(LAYERS)]
        a = [draw(2, d_in, stream) for _ in range(LAYERS)]
        b = [draw(d_out, 2, stream) for _ in range(LAYERS)]
        case = Trained(x, a, b, t)
        if all(_clear(_shares(case, g), t) for g in EFFECTS):
            return case


def _clear(shares: Sequence[float], t: float) -> bool:
    """Say whether no two shares are nearly equal, and none of their sums or of themselves is nearly a bound."""
    up = sorted(shares)
    sums = [sum(order[: n + 1]) for order in (up, up[::-1]) for n in range(len(up))]
    apart = [b - a for a, b in zip(up, up[1:], strict=False)]
    near = [abs(total - t) for total in sums] + [abs(share - 1 / len(up)) for share in up]
    return min(apart + near) > MARGIN


PULLED = "That is the pull request: it measures ‖BA‖², and it stops before T is reached."
SIZE = "You measure ‖BA‖²: the inputs are in no product. An adapter is important if it changes the output, E‖BAx‖²."
NORM = "You do not square the norms. The shares are those of E‖BAx‖²."
INNER = "You measure ‖Ax‖². What arrives in the model has gone through B as well."
OF_MEAN = (
    "You take the mean of BAx first, and its norm then. Inputs that pull in opposite directions cancel: ‖·‖² first."
)
BELOW = "Your layers stay below T. The one that reaches T keeps its adapter too."
MEAN = "You keep what is above the mean, whatever T is. Asked are the fewest layers whose shares reach T together."
SMALLEST = "You begin with the smallest share. The fewest layers that reach T are those with the largest."
OTHERS = "You mark those that share. 1 is for a layer that keeps its own."

MISTAKES = (
    Mistake("pulled", PULLED, {"g": size, "stop": below}),
    Mistake("size", SIZE, {"g": size}),
    Mistake("norm", NORM, {"g": norm}),
    Mistake("inner", INNER, {"g": inner}),
    Mistake("of-mean", OF_MEAN, {"g": of_mean}),
    Mistake("below", BELOW, {"stop": below}),
    Mistake("mean", MEAN, {"stop": above_mean}),
    Mistake("smallest", SMALLEST, {"largest_first": False}),
    Mistake("others", OTHERS, {"own": 0.0}, points=0.5),
)

EXERCISE = Exercise(
    title="Who keeps an adapter?",
    function="keeps",
    difficulty=2,
    minutes=7,
    prompt=(
        "A pull request brings LoRA-drop's choice:\n\n```python\n"
        "g = torch.stack([(b @ a).square().sum() for a, b in zip(A, B)])\n"
        "share, order = (g / g.sum()).sort(descending=True)\n"
        "own = order[share.cumsum(0) < T]\n"
        "return [int(i in own) for i in range(len(g))]\n```\n\n"
        "Two lines are wrong. Write `keeps(x, A, B, T)`: for each layer 1 if it keeps its adapter, 0 if it shares. "
        "x is L × n × d_in, the n inputs of each layer; A is L × r × d_in and B is L × d_out × r."
    ),
    hints=(
        "Which line would change if a layer's inputs were ten times as large? And does the layer that reaches T keep?",
        "g is the mean over the inputs of ‖BAx‖². A layer keeps if the shares *before* it are still below T.",
        "(x @ a.T @ b.T).square().sum(1).mean(); own = order[share.cumsum(0) - share < T].",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
)
