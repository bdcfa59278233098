"""Exercise: extract a LoRA from what full fine-tuning did: (α/r)·BA = the best rank-r part of ΔW."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lorabook.book.classroom.diagnosis import Mistake, diagnose
from lorabook.book.classroom.exercise import Exercise, WrongAnswer
from lorabook.book.classroom.known import total, with_spectrum
from lorabook.book.classroom.plain import Matrix, from_tensor, scaled, times, to_tensor
from lorabook.book.classroom.running import Failed, run


@dataclass(frozen=True)
class World:
    """A ΔW, its terms σᵢuᵢvᵢᵀ with their σᵢ, and the LoRA that is asked for."""

    delta: Matrix
    terms: list[Matrix]
    sigma: tuple[float, ...]
    r: int
    alpha: float


SPECTRA = (
    (6, 5, (4.0, 3.0, 2.0, 1.0, 0.5), 2, 5.0),
    (4, 7, (3.0, 2.5, 1.5, 0.5), 3, 7.0),
    (5, 5, (5.0, 2.0, 1.2, 0.8, 0.3), 1, 3.0),
)


def worlds() -> tuple[World, ...]:
    """Return a tall, a wide and a square case; α/r is never 1."""
    stream = random.Random(22)
    return tuple(
        World(*with_spectrum(rows, columns, sigma, stream), sigma, r, alpha)
        for rows, columns, sigma, r, alpha in SPECTRA
    )


def right(w: World) -> Matrix:
    """Return Σ_{i≤r} σᵢuᵢvᵢᵀ. Source: Eckart, Young 1936."""
    return total(w.terms[: w.r])


def _sized(size: Callable[[float], float]) -> Callable[[World], Matrix]:
    """Return what comes out when σ enters B and A together as size(σ)."""
    return lambda w: total([scaled(size(s) / s, term) for s, term in zip(w.sigma[: w.r], w.terms, strict=False)])


NO_SCALE = "Your B and A give ΔW_r as they stand, but the layer multiplies BA by α/r: divide by it once, in B or in A."
TWICE = "You multiply by α/r where you should divide: the layer multiplies once more."
BOTH_SIDES = "σ stands in B and in A, so BA holds σ². Put it in one of the two, or √σ in each."
NO_SIGMA = "You left σ out: BA has the right directions, and each of them with weight 1."
WEAKEST = "You kept the last r directions. torch sorts σ from large to small: the first r are the strong ones."
TWO = "Return two matrices, first B (d_out × r), then A (r × d_in): `return B, A`."
SWAPPED = "You return A first. The order is B, A, as in the product BA."

MISTAKES = (
    Mistake(NO_SCALE, lambda w: scaled(w.alpha / w.r, right(w))),
    Mistake(TWICE, lambda w: scaled((w.alpha / w.r) ** 2, right(w))),
    Mistake(BOTH_SIDES, _sized(lambda s: s**2)),
    Mistake(NO_SIGMA, _sized(lambda s: 1.0)),
    Mistake(WEAKEST, lambda w: total(w.terms[-w.r :])),
)


def product(result: object, w: World) -> object:
    """Return (α/r)·BA of an answer as a tensor, or what is wrong with its form."""
    if isinstance(result, Failed):
        return result
    if type(result) not in (tuple, list) or len(result) != 2:
        return Failed(TWO)
    b, a = (from_tensor(part) for part in result)
    shapes = [(len(part), len(part[0])) if type(part) is list and type(part[0]) is list else None for part in (b, a)]
    expected = [(len(w.delta), w.r), (w.r, len(w.delta[0]))]
    if shapes == expected:
        return to_tensor(scaled(w.alpha / w.r, times(b, a)))
    if shapes == expected[::-1]:
        return Failed(SWAPPED)
    sizes = " and ".join("no matrix" if shape is None else f"{shape[0]} × {shape[1]}" for shape in shapes)
    expected_sizes = " and ".join(f"{rows} × {columns}" for rows, columns in expected)
    return Failed(f"Your B and A are {sizes}; they should be {expected_sizes}.")


def probe(answer: Callable) -> str | None:
    """Return what is wrong with an answer, or None."""
    results = [product(run(answer, to_tensor(w.delta), w.r, w.alpha), w) for w in worlds()]
    return diagnose(worlds(), results, right, MISTAKES)


def _built(delta: Tensor, r: int, left: Callable, right_: Callable, part: slice | None = None) -> tuple[Tensor, Tensor]:
    u, sigma, vt = torch.linalg.svd(delta, full_matrices=False)
    part = part or slice(0, r)
    return u[:, part] * left(sigma[part]), right_(sigma[part])[:, None] * vt[part]


def _one(sigma: Tensor) -> Tensor:
    return torch.ones_like(sigma)


BANK = (
    WrongAnswer(lambda d, r, alpha: _built(d, r, lambda s: s, _one), NO_SCALE),
    WrongAnswer(lambda d, r, alpha: _built(d, r, lambda s: s * alpha / r, _one), TWICE),
    WrongAnswer(lambda d, r, alpha: _built(d, r, lambda s: s * r / alpha, lambda s: s), BOTH_SIDES),
    WrongAnswer(lambda d, r, alpha: _built(d, r, lambda s: _one(s) * r / alpha, _one), NO_SIGMA),
    WrongAnswer(lambda d, r, alpha: _built(d, r, lambda s: s * r / alpha, _one, slice(-r, None)), WEAKEST),
    WrongAnswer(lambda d, r, alpha: _built(d, r, lambda s: s * r / alpha, _one)[::-1], SWAPPED),
    WrongAnswer(lambda d, r, alpha: d, TWO),
)

EXERCISE = Exercise(
    title="Extract a LoRA from a fine-tuned model",
    function="extract",
    difficulty=3,
    minutes=12,
    prompt=(
        "Someone fine-tuned every weight; you want to ship an adapter. Write `extract(delta, r, alpha)` that returns "
        "`B, A` (d_out × r and r × d_in) such that LoRA's update (α/r)·BA is the best rank-r approximation of `delta`."
    ),
    hints=(
        "Which r terms of Σ σᵢuᵢvᵢᵀ do you keep? `torch.linalg.svd(delta, full_matrices=False)` gives u, σ, vᵀ.",
        "The columns of B are the kept uᵢ, the rows of A the kept vᵢᵀ. Where does σᵢ go? Anywhere, once.",
        "The layer will multiply BA by α/r. What must BA be, so that the product is right? (If r = α, no test notices. "
        "That is why the mistake lives so long.)",
    ),
    probe=probe,
    bank=BANK,
)
