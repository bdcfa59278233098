"""ε of a federation over its rounds, by the book's accountant, for a grid of populations, rounds' sizes and noises.

    python -c "from lorabook.arena.epsilons import record; record()"

Its numbers are computed, not measured: they are kept because an accountant takes a while for all of them.
"""

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path

from lorabook.axes.optim.accountant import epsilon
from lorabook.models.paths import data_dir, data_file

FILE = "recorded/epsilons.json"
CLIENTS = (512, 2048, 8192, 32768, 131072)
"""N, in all."""
COHORTS = (128, 512, 2048)
"""L, expected in a round, and at most N: each of the N comes with chance L/N."""
SIGMAS = (0.5, 1.0, 2.0)
ROUNDS = (1, 2, 4, 8, 12, 16)

Epsilons = dict[tuple[int, int, float], list[float]]
"""By N, L and σ: ε after each of `ROUNDS`."""


def delta(n: int) -> float:
    """Return δ = N^−1.1: less than one client's share, as is usual."""
    return n**-1.1


def keys() -> list[tuple[int, int, float]]:
    """Return every N, L and σ of the grid."""
    return [key for key in product(CLIENTS, COHORTS, SIGMAS) if key[1] <= key[0]]


def computed(n: int, cohort: int, sigma: float) -> list[float]:
    """Return ε after each of `ROUNDS`."""
    return [epsilon(sigma=sigma, q=cohort / n, steps=t, delta=delta(n)) for t in ROUNDS]


def record(path: Path | None = None, compute: Callable[[int, int, float], list[float]] = computed) -> None:
    """Compute all of them anew (half a minute)."""
    lines = [[*key, [float(f"{e:.4g}") for e in compute(*key)]] for key in keys()]
    text = ",\n".join(json.dumps(line, separators=(",", ":")) for line in lines)
    (path or data_dir() / FILE).write_text(f"[\n{text}\n]\n", encoding="utf-8")


def read(path: Path | None = None) -> Epsilons:
    """Return what was computed."""
    lines = json.loads((path or data_file(FILE)).read_text(encoding="utf-8"))
    return {(n, cohort, sigma): found for n, cohort, sigma, found in lines}
