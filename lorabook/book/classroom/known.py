"""Matrices whose singular values are known because they were chosen, in plain floats."""

import random

from lorabook.book.classroom.plain import Matrix, plus, scaled, times, turned


def reflection(n: int, stream: random.Random) -> Matrix:
    """Return I − 2vvᵀ/vᵀv: an orthogonal matrix, its own inverse."""
    v = [stream.uniform(-1, 1) for _ in range(n)]
    size = sum(x * x for x in v)
    return [[float(i == j) - 2 * v[i] * v[j] / size for j in range(n)] for i in range(n)]


def falling(n: int, stream: random.Random) -> tuple[float, ...]:
    """Return n singular values, strongest first, each clearly weaker than the one before."""
    sigma = [stream.uniform(3, 5)]
    while len(sigma) < n:
        sigma.append(sigma[-1] * stream.uniform(0.5, 0.85))
    return tuple(sigma)


def with_spectrum(
    d_out: int, d_in: int, sigma: tuple[float, ...], stream: random.Random
) -> tuple[Matrix, list[Matrix]]:
    """Return M = Σ σᵢ uᵢ vᵢᵀ, and its terms, strongest first; `sigma` must fall, and have min(d_out, d_in) entries."""
    u, v = turned(reflection(d_out, stream)), turned(reflection(d_in, stream))
    terms = [scaled(s, times(turned([u[i]]), [v[i]])) for i, s in enumerate(sigma)]
    return total(terms), terms


def total(terms: list[Matrix]) -> Matrix:
    """Return the sum of matrices of one shape."""
    result = terms[0]
    for term in terms[1:]:
        result = plus(result, term)
    return result
