"""Exercise: HiRA's branch (W₀ ⊙ BA)x as r products with W₀, and no second matrix of W₀'s size."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise, Mistake, Sign
from lorabook.book.classroom.plain import Array, Matrix, draw, entrywise, plus, times, turned
from lorabook.book.classroom.seen import Seen
from lorabook.book.classroom.traced import forward_pass


@dataclass(frozen=True)
class Branch:
    """Inputs x (one row each), the frozen W₀, and the factors of its gate."""

    x: Matrix
    w0: Matrix
    A: Matrix
    B: Matrix

    @property
    def given(self) -> dict[str, object]:
        return {name: Array(getattr(self, name)) for name in ("x", "w0", "A", "B")}


def draw_cases(stream: random.Random) -> list[Branch]:
    """Return a tall and a wide case, and a square one where every product has a shape."""
    shapes = ((3, stream.randint(6, 7), 5, 2), (4, 5, stream.randint(6, 7), 3), (2, 4, 4, 3))
    return [
        Branch(draw(rows, d_in, stream), draw(d_out, d_in, stream), draw(r, d_in, stream), draw(d_out, r, stream))
        for rows, d_out, d_in, r in shapes
    ]


def _ba(c: Branch) -> Matrix:
    return times(c.B, c.A)


def _in_turn(c: Branch) -> Matrix:
    return times(c.x, turned(entrywise(c.w0, _ba(c))))


def answer(
    c: Branch,
    branch: Callable[[Branch], Matrix | None] = _in_turn,
    base: Callable[[Branch], Matrix | None] = lambda c: None,
) -> Matrix | None:
    """Return (W₀ ⊙ BA)x for each x. Source: Huang et al. 2025 (HiRA), equation 3."""
    found, whole = branch(c), base(c)
    return found if found is None or whole is None else plus(found, whole)


def _summed(c: Branch) -> Matrix:
    """Gate the input with the sum of A's rows and the output with the sum of B's columns."""
    a, b = [sum(column) for column in zip(*c.A, strict=True)], [sum(row) for row in c.B]
    return [[y * g for y, g in zip(row, b, strict=True)] for row in _through([[*map(_mul, x, a)] for x in c.x], c.w0)]


def _mul(x: float, y: float) -> float:
    return x * y


def _through(x: Matrix, w: Matrix) -> Matrix:
    return times(x, turned(w))


def _outside(c: Branch) -> Matrix:
    return entrywise(_through(c.x, c.w0), _through(c.x, _ba(c)))


def _left(c: Branch) -> Matrix:
    """Gate the outputs only: Σ_k b_k ⊙ W₀x."""
    b = [sum(row) for row in c.B]
    return [[y * g for y, g in zip(row, b, strict=True)] for row in _through(c.x, c.w0)]


def _right(c: Branch) -> Matrix:
    """Gate the inputs only: Σ_k W₀(a_k ⊙ x)."""
    a = [sum(column) for column in zip(*c.A, strict=True)]
    return _through([[*map(_mul, x, a)] for x in c.x], c.w0)


def _crossed(c: Branch) -> Matrix | None:
    """Gate the inputs with B's columns and the outputs with A's rows."""
    crossed = times(turned(c.A), turned(c.B))
    return _through(c.x, entrywise(c.w0, crossed)) if len(c.w0) == len(c.w0[0]) else None


def _chained(c: Branch) -> Matrix | None:
    product = times(c.w0, _ba(c))
    return None if product is None else _through(c.x, product)


SUMMED = (
    "You sum A's rows, and B's columns, before W₀: then each row of A meets each column of B, r² terms instead of the "
    "r that belong together. Gate and sum after W₀, once for each k."
)
OUTSIDE = "You multiply W₀x and BAx entry by entry. That is quadratic in x: the gate belongs to W₀'s entries."
LEFT = "Only the outputs are gated, with B's columns. A's rows gate the inputs: W₀(a_k ⊙ x)."
RIGHT = "Only the inputs are gated, with A's rows. B's columns gate the outputs: b_k ⊙ (…)."
CROSSED = "A and B are exchanged: row k of A has d_in numbers and gates x; column k of B gates the outputs."
LOW_RANK = "That is LoRA's branch, BAx: W₀ is not in it."
CHAINED = "You multiply W₀ with BA as matrices. HiRA multiplies them entry by entry."
WHOLE = "W₀x is in your result as well. The branch is what HiRA adds to it: (W₀ ⊙ BA)x alone."
BUILT = (
    "A matrix of W₀'s size is built before x comes in: BA, or W₀ with a row of A in it. Gate x first, and let it go "
    "through W₀ as it is."
)

MISTAKES = (
    Mistake("summed", SUMMED, {"branch": _summed}),
    Mistake("outside", OUTSIDE, {"branch": _outside}),
    Mistake("outputs-only", LEFT, {"branch": _left}),
    Mistake("inputs", RIGHT, {"branch": _right}),
    Mistake("crossed", CROSSED, {"branch": _crossed}),
    Mistake("low-rank", LOW_RANK, {"branch": lambda c: _through(c.x, _ba(c))}),
    Mistake("chained", CHAINED, {"branch": _chained}),
    Mistake("whole", WHOLE, {"base": lambda c: _through(c.x, c.w0)}, points=0.5),
)


def built(c: Branch, seen: Seen) -> bool:
    """Say whether two of W₀, A and B met in a product before x came in."""
    return any(len({"w0", "A", "B"} & set(names)) > 1 and "x" not in names for names in seen.met)


EXERCISE = Exercise(
    title="A gate without a second matrix",
    function="hira_branch",
    difficulty=3,
    minutes=10,
    prompt=(
        "W₀ lies in four bits, and there is memory for a product with it, but not for another matrix of its size: "
        "W₀ ⊙ (BA) cannot be built. With $a_k$ a row of A and $b_k$ a column of B,\n\n"
        "$$W_0\\odot(BA)=\\sum_k\\operatorname{diag}(b_k)\\,W_0\\operatorname{diag}(a_k).$$\n\nThe same sum says why "
        "the rank is at most r·rank(W₀). Write `hira_branch(x, w0, A, B)`, which returns (W₀ ⊙ BA)x for inputs x with "
        "one input in each row, A: r × d_in and B: d_out × r, and builds no matrix of W₀'s size."
    ),
    hints=(
        "Take r = 1. diag(a) on the right of W₀ acts on x before W₀ does. What is diag(a)x?",
        "One term is b_k ⊙ (W₀(a_k ⊙ x)): gate x, go through W₀, gate what comes out. Then the sum over k.",
        "sum((x * A[k]) @ w0.T * B[:, k] for k in range(len(A)))",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
    observe=forward_pass,
    conditions=(Sign("built", BUILT, built, points=0.5),),
)
