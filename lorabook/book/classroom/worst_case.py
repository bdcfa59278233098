"""Exercise: a matrix that is as far from low rank as a matrix can be."""

from collections.abc import Callable

import torch

from lorabook.book.classroom.exercise import Exercise, WrongAnswer
from lorabook.book.classroom.plain import close, from_tensor, times, turned
from lorabook.book.classroom.running import Failed, run

SIZES = (3, 4, 6)

ONE_DIRECTION = "Every row is a multiple of the same row: that is rank 1, the opposite of what is asked."
ZERO = "All entries are zero: then there is no energy to share out."
NEARLY = "Close, and not it: some directions are still stronger than others. Random is nearly even, never exactly."
UNEVEN = "The rows are at right angles, but not equally long, so some directions are stronger than others."
SHAPE = "Return a d × d tensor."


def probe(answer: Callable) -> str | None:
    """Return what is wrong with an answer, or None: all singular values are equal exactly when MMᵀ = c·I, c > 0."""
    for d in SIZES:
        result = run(answer, d)
        if isinstance(result, Failed):
            return result.says
        m = from_tensor(result)
        if type(m) is not list or len(m) != d or any(type(row) is not list or len(row) != d for row in m):
            return SHAPE
        if (fault := _fault(m)) is not None:
            return fault
    return None


def _fault(m: list[list[float]]) -> str | None:
    d, gram = len(m), times(m, turned(m))
    size = max(gram[i][i] for i in range(d))
    if size == 0:
        return ZERO
    gram = [[x / size for x in row] for row in gram]
    crossed = [abs(gram[i][j]) for i in range(d) for j in range(d) if i != j]
    if all(close(gram[i][j] ** 2, gram[i][i] * gram[j][j]) for i in range(d) for j in range(d)):
        return ONE_DIRECTION
    if max(crossed) > 1e-6:
        return NEARLY
    return None if all(abs(gram[i][i] - 1) < 1e-6 for i in range(d)) else UNEVEN


BANK = (
    WrongAnswer(lambda d: torch.ones(d, d), ONE_DIRECTION),
    WrongAnswer(lambda d: torch.zeros(d, d), ZERO),
    WrongAnswer(lambda d: torch.randn(d, d, generator=torch.Generator().manual_seed(0)), NEARLY),
    WrongAnswer(lambda d: torch.diag(torch.arange(1.0, d + 1)), UNEVEN),
    WrongAnswer(lambda d: torch.eye(d)[:, : d - 1], SHAPE),
)

EXERCISE = Exercise(
    title="The worst case",
    function="worst",
    difficulty=2,
    minutes=5,
    prompt=(
        "Write `worst(d)`: a d × d matrix of which rank r keeps only the share r/d of the energy, for *every* r. Then "
        "you know what no adapter of low rank can follow."
    ),
    hints=(
        "What must be true of the singular values, if each direction you add brings equally much?",
        "All equal. Which matrices stretch every input by the same factor?",
        "Rotations, reflections, permutations: the orthogonal matrices, times any number. One is very short to write.",
    ),
    probe=probe,
    bank=BANK,
)
