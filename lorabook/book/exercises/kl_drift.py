"""Exercise: how far a model has drifted, KL(base ‖ adapted); torch's kl_div takes its arguments the other way round."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise, Mistake
from lorabook.book.classroom.plain import Array, Matrix, draw, scaled


@dataclass(frozen=True)
class Logits:
    """What the base and the adapted model say at the same positions."""

    before: Matrix
    after: Matrix

    @property
    def given(self) -> dict[str, object]:
        return {"before": Array(self.before), "after": Array(self.after)}


def draw_cases(stream: random.Random) -> list[Logits]:
    """Return tables of several sizes, one of them with a single position."""
    sizes = ((stream.randint(2, 3), stream.randint(5, 6)), (1, 4), (stream.randint(4, 5), 3))
    return [Logits(scaled(3.0, draw(*size, stream)), scaled(3.0, draw(*size, stream))) for size in sizes]


def _logs(row: Sequence[float]) -> list[float]:
    """Return the logarithm of the softmax."""
    whole = math.log(sum(math.exp(x) for x in row))
    return [x - whole for x in row]


def answer(
    c: Logits,
    swapped: bool = False,
    share: Callable[[int, int], int] = lambda positions, vocab: positions,
    term: Callable[[float, float], float] = lambda log_p, log_q: log_p - log_q,
    logs: Callable[[Sequence[float]], list[float]] = _logs,
    unit: float = 1.0,
) -> float:
    """Return the mean over positions of Σ p·(log p − log q). Source: Kullback, Leibler 1951."""
    one, other = (c.after, c.before) if swapped else (c.before, c.after)
    total = 0.0
    for p_row, q_row in zip(one, other, strict=True):
        weights = [math.exp(x) for x in _logs(p_row)]
        total += sum(w * term(x, y) for w, x, y in zip(weights, logs(p_row), logs(q_row), strict=True))
    return total / share(len(one), len(one[0])) / unit


REVERSED = (
    "That is KL(adapted ‖ base). Drift weighs with what the base said: F.kl_div(log q, p) is KL(p ‖ q), so the base's "
    "p comes second."
)
MEAN = (
    "You divide by positions times tokens: that is kl_div's default reduction. Sum over tokens, average over positions."
)
SUM = "You add up the positions. The drift of a longer text would be larger for that alone: average over positions."
CROSS = "You return the cross entropy −Σ p log q. It is not 0 for the base itself: subtract −Σ p log p."
SIGN = "The sign is wrong: a KL divergence is never negative."
LOGITS = "You subtract logits. A constant added to all of them changes no probability: take log_softmax first."
BITS = "You return bits. The loss is in nats: natural logarithms."

MISTAKES = (
    Mistake("reversed", REVERSED, {"swapped": True}),
    Mistake("mean", MEAN, {"share": lambda positions, vocab: positions * vocab}),
    Mistake("sum", SUM, {"share": lambda positions, vocab: 1}),
    Mistake("cross", CROSS, {"term": lambda log_p, log_q: -log_q}),
    Mistake("sign", SIGN, {"term": lambda log_p, log_q: log_q - log_p}, points=0.5),
    Mistake("logits", LOGITS, {"logs": list}),
    Mistake("bits", BITS, {"unit": math.log(2)}, points=0.5),
)

EXERCISE = Exercise(
    title="How far has it drifted?",
    function="drift_from_base",
    difficulty=1,
    minutes=5,
    prompt=(
        "A pull request logs the drift from the base, KL(base ‖ adapted) in nats per token:\n\n```python\n"
        "p, q = before.softmax(-1), after.softmax(-1)\nreturn F.kl_div(p.log(), q)\n```\n\nIt starts at 0, grows, "
        "and has two faults. Write `drift_from_base(before, after)`: both are logits, positions × tokens. Return the "
        "mean over positions of Σ p·(log p − log q), where p is the base's."
    ),
    hints=(
        "Which of the two arguments of F.kl_div is the one whose logarithm you give, and which does it weigh with?",
        "F.kl_div(log q, p) sums p·(log p − log q). By which number does its default reduction divide?",
        "Take log_softmax of both, weigh with the base's probabilities, sum over the last dimension, then mean().",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
)
