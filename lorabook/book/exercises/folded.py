"""Exercise: LoKr's branch s·(C ⊗ D)x by the vec trick: the product is not built, and its factors are not swapped."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.exercise import Exercise, Mistake, Sign
from lorabook.book.classroom.plain import Array, Matrix, draw, scaled, times, turned
from lorabook.book.classroom.seen import Seen
from lorabook.book.classroom.traced import forward_pass


@dataclass(frozen=True)
class Branch:
    """Inputs x (one row each, m·n numbers), the factors C: p × m and D: k × n, and the scale."""

    x: Matrix
    C: Matrix
    D: Matrix
    s: float

    @property
    def given(self) -> dict[str, object]:
        return {"x": Array(self.x), "C": Array(self.C), "D": Array(self.D), "s": self.s}


def draw_cases(stream: random.Random) -> list[Branch]:
    """Return square factors of one size, where every product has a shape, then square ones of two, then none square."""
    shapes = ((3, 3, 3, 3, 3, 1.7), (2, 2, 2, 4, 4, 2.5), (4, 3, 2, stream.randint(4, 6), 5, 0.4))
    return [
        Branch(draw(rows, m * n, stream), draw(p, m, stream), draw(k, n, stream), s) for rows, p, m, k, n, s in shapes
    ]


Fold = Callable[[list[float], int, int], Matrix]
Unfold = Callable[[Matrix], list[float]]


def _rows(x: list[float], m: int, n: int) -> Matrix:
    return [x[n * i : n * (i + 1)] for i in range(m)]


def _columns(x: list[float], m: int, n: int) -> Matrix:
    return [x[i::m] for i in range(m)]


def _by_rows(y: Matrix) -> list[float]:
    return [value for row in y for value in row]


def _by_columns(y: Matrix) -> list[float]:
    return _by_rows(turned(y))


def answer(
    c: Branch,
    by: Callable[[float], float] = lambda s: s,
    fold: Fold = _rows,
    unfold: Unfold = _by_rows,
    left: Callable[[Matrix], Matrix] = lambda m: m,
    right: Callable[[Matrix], Matrix] = turned,
) -> Matrix | None:
    """Return s·vec(CXDᵀ) for each x = vec(X), rows first. Source: Horn, Johnson, Topics in Matrix Analysis, 4.3.1."""
    outputs = []
    for row in c.x:
        folded = fold(row, len(c.C[0]), len(c.D[0]))
        before = times(folded, right(c.D))
        result = None if before is None else times(left(c.C), before)
        if result is None or len(result) * len(result[0]) != len(c.C) * len(c.D):
            return None
        outputs.append(unfold(result))
    return scaled(by(c.s), outputs)


SWAPPED = (
    "That is D ⊗ C: a grid of copies of C, and not of D. In C ⊗ D neighbours in x belong to one block, so they go "
    "through D."
)
FOLDED = (
    "x is folded column by column, and y unfolded row by row. Entry n·i + j of x is X[i, j]: fold by rows, as `view` "
    "does."
)
UNFOLDED = (
    "x is folded row by row, and y unfolded column by column. Entry k·i + j of y is row i, column j of CXDᵀ: unfold by "
    "rows, as `flatten` does."
)
RIGHT_UNTURNED = "D is not transposed: each row of X is an input of D, so all of them together are X @ D.T."
LEFT_TURNED = "C is transposed, and only D should be: C stands on the left of X, CXDᵀ."
NO_SCALE = "The branch is not multiplied by s."
SCALE_TWICE = "The branch is multiplied by s twice: once is enough, on C, on D, or on the result."
BUILT = (
    "C and D meet before x does: that builds C ⊗ D, as large as W₀. Fold x, and let it go through the one and then the "
    "other."
)

MISTAKES = (
    Mistake("swapped", SWAPPED, {"fold": _columns, "unfold": _by_columns}),
    Mistake("folded", FOLDED, {"fold": _columns}),
    Mistake("unfolded", UNFOLDED, {"unfold": _by_columns}),
    Mistake("right-unturned", RIGHT_UNTURNED, {"right": lambda m: m}),
    Mistake("left-turned", LEFT_TURNED, {"left": turned}),
    Mistake("no-scale", NO_SCALE, {"by": lambda s: 1.0}, points=0.5),
    Mistake("scale-twice", SCALE_TWICE, {"by": lambda s: s * s}, points=0.5),
)


def built(c: Branch, seen: Seen) -> bool:
    """Say whether C and D met in a product before x came in."""
    return any({"C", "D"} <= set(names) and "x" not in names for names in seen.met)


EXERCISE = Exercise(
    title="Fold, and do not build",
    function="lokr_branch",
    difficulty=2,
    minutes=5,
    prompt=(
        "A pull request makes LoKr's forward pass cheap:\n\n```python\nX = x.view(len(x), D.shape[1], C.shape[1])\n"
        "return s * (D @ X @ C.T).flatten(1)\n```\n\nIts test has C = D, and passes. With the files that people have, "
        "the model writes nonsense. Write `lokr_branch(x, C, D, s)`, which returns s·(C ⊗ D)x for inputs x with one "
        "input in each row, C: p × m and D: k × n, and never builds C ⊗ D."
    ),
    hints=(
        "Which product does the pull request compute, C ⊗ D or D ⊗ C? With C = D no test can tell.",
        "(C ⊗ D)x is CXDᵀ unfolded. C has m columns and D has n: which shape must X have?",
        "X is `x.view(len(x), m, n)`; then C from the left, D.T from the right, and `.flatten(1)`.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
    observe=forward_pass,
    conditions=(Sign("built", BUILT, built, points=0.5),),
)
