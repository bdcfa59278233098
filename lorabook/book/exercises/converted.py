"""Exercise: what a training changed in W₀, as the nearest LoRA of a given rank and α."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorabook.book.classroom.compare import sizes
from lorabook.book.classroom.exercise import Exercise, Mistake, Unfit
from lorabook.book.classroom.observe import Values
from lorabook.book.classroom.plain import Array, Matrix, draw, plus, scaled, shape_of, times, turned
from lorabook.book.classroom.seen import Seen
from lorabook.book.exercises.keep_apart import dot, orthogonal


@dataclass(frozen=True)
class Trained:
    """W₀ = UDVᵀ and W = U(D + Σ)Vᵀ with the same orthonormal directions, as rows; the rank and α to give it."""

    u: Matrix
    v: Matrix
    before: tuple[float, ...]
    change: tuple[float, ...]
    r: int
    alpha: float

    @property
    def s(self) -> float:
        return self.alpha / self.r

    @property
    def given(self) -> dict[str, object]:
        after = [d + sigma for d, sigma in zip(self.before, self.change, strict=True)]
        matrices = {"w0": Array(built(self, self.before)), "w": Array(built(self, after))}
        return {**matrices, "r": self.r, "alpha": self.alpha}


Numbers = Callable[[Trained], list[float]]


def built(c: Trained, weights: tuple[float, ...] | list[float]) -> Matrix:
    """Return Σ weightᵢ·uᵢvᵢᵀ."""
    total = scaled(0.0, times(turned(c.u[:1]), c.v[:1]))
    for weight, u, v in zip(weights, c.u, c.v, strict=True):
        total = plus(total, scaled(weight, times(turned([u]), [v])))
    return total


def draw_cases(stream: random.Random) -> list[Trained]:
    """Return a tall, a wide and a square layer; W₀ is strong where the change is weak."""
    cases = []
    for d_out, d_in, r, alpha in ((7, 5, 2, 5.0), (5, stream.randint(6, 8), 1, 3.0), (6, 6, 3, 2.0)):
        u, v = (unit(draw(4, d, stream)) for d in (d_out, d_in))
        size = stream.randint(20, 30) / 10
        change = (size, 0.7 * size, 0.4 * size, 0.2 * size)
        cases.append(Trained(u, v, (0.5, -0.3, 1.5 * size, 2.5 * size), change, r, alpha))
    return cases


def unit(rows: Matrix) -> Matrix:
    """Return orthonormal rows that span the same space."""
    return [[x / dot(row, row) ** 0.5 for x in row] for row in orthogonal(rows)]


def largest(values: list[float], r: int) -> list[float]:
    """Keep the r largest values, by size; the others become 0."""
    kept = sorted(range(len(values)), key=lambda i: -abs(values[i]))[:r]
    return [value if i in kept else 0.0 for i, value in enumerate(values)]


def smallest(values: list[float], r: int) -> list[float]:
    """Keep the r smallest values."""
    kept = largest(values, len(values) - r)
    return [0.0 if k else value for value, k in zip(values, kept, strict=True)]


def answer(
    c: Trained,
    of: Numbers = lambda c: list(c.change),
    keep: Callable[[list[float], int], list[float]] = largest,
    power: Callable[[float], float] = lambda sigma: sigma,
    scale: Callable[[float], float] = lambda s: 1.0,
) -> Matrix:
    """Return what the LoRA adds, (α/r)·BA = U_rΣ_rV_rᵀ of W − W₀."""
    kept = keep(of(c), c.r)
    return scaled(scale(c.s), built(c, [power(sigma) if sigma else 0.0 for sigma in kept]))


WHOLE = "You decompose W. A LoRA is added to W₀, so it must be the change, W − W₀."
REVERSED = "The sign is turned: the change is W − W₀."
NO_SCALE = "BA is the change itself, and it is served times α/r. Divide by α/r, in A, in B, or √ in both."
MULTIPLIED = "You multiply by α/r, and so does the server. Divide by it."
DIVIDED_TWICE = "A and B are both divided by α/r. The product may be divided once: √(α/r) in each, or all of it in one."
SIGMA_TWICE = "Σ stands in A and in B, so that BA has Σ². Put √Σ into each, or Σ into one."
NO_SIGMA = "The singular values are missing: UᵣVᵣᵀ has the directions of the change, all of length 1."
SMALLEST = "You keep the smallest singular values. The largest come first."

MISTAKES = (
    Mistake("whole", WHOLE, {"of": lambda c: [d + sigma for d, sigma in zip(c.before, c.change, strict=True)]}),
    Mistake("reversed", REVERSED, {"of": lambda c: [-sigma for sigma in c.change]}, points=0.5),
    Mistake("no-scale", NO_SCALE, {"scale": lambda s: s}, points=0.5),
    Mistake("multiplied", MULTIPLIED, {"scale": lambda s: s * s}, points=0.5),
    Mistake("divided-twice", DIVIDED_TWICE, {"scale": lambda s: 1 / s}, points=0.5),
    Mistake("sigma-twice", SIGMA_TWICE, {"power": lambda sigma: sigma * abs(sigma)}),
    Mistake("no-sigma", NO_SIGMA, {"power": lambda sigma: 1.0 if sigma > 0 else -1.0}),
    Mistake("smallest", SMALLEST, {"keep": smallest}),
)


def served(c: Trained, seen: Seen) -> Matrix:
    """Return (α/r)·BA of an answer.

    Raises:
        Unfit: A and B have other shapes.
    """
    a, b = seen.parts
    shapes, due = [shape_of(a), shape_of(b)], [(c.r, len(c.v[0])), (len(c.u[0]), c.r)]
    if shapes == due:
        return scaled(c.s, times(b, a))
    if shapes == due[::-1]:
        raise Unfit("swapped", "You return B first. The order is A, B.")
    came, expected = (" and ".join(map(sizes, both)) for both in (shapes, due))
    raise Unfit("shape", f"Your A and B are {came}; they should be {expected}.")


EXERCISE = Exercise(
    title="Any training as a LoRA",
    function="nearest_lora",
    difficulty=2,
    minutes=10,
    prompt=(
        "Somebody trained with a variant that your server does not know, and sends you W. Write "
        "`nearest_lora(w0, w, r, alpha)` that returns `A, B`, of size r × d_in and d_out × r: of all LoRA adapters of "
        "rank r, the one with which W₀ + (α/r)·BA lies nearest to W. (`torch.linalg.svd(m)` "
        "returns U, σ and Vᵀ.)"
    ),
    hints=(
        "Of which matrix do you need the singular values?",
        "Of W − W₀. The nearest of rank r is U_r Σ_r V_rᵀ. Who brings the factor α/r?",
        "root = (σ[:r] · r/α).sqrt(); A = root[:, None] * vt[:r]; B = u[:, :r] * root.",
    ),
    draw=draw_cases,
    answer=answer,
    mistakes=MISTAKES,
    observe=Values(("A", "B")),
    measure=served,
)
