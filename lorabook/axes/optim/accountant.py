"""The accountant: what T noisy steps cost together, as (ε, δ), and the noise that a target needs.

Nothing is computed by hand here: the accountants are those of the package dp-accounting.
"""

import math
from collections.abc import Callable
from typing import Any

from lorabook.core.whole_number import refuse_unless_whole

Accountant = Callable[[], Any]
"""Gives a fresh accountant of dp-accounting."""


def renyi() -> Any:
    """Return an accountant of Rényi divergences: an upper bound on ε, fast; for the sampled Gaussian of any length.

    Whole orders only: their divergence is a finite sum, and a series for the others may not converge.

    Source: Mironov, Talwar, Zhang 2019 (1908.10530), section 3.3.
    """
    from dp_accounting.rdp import RdpAccountant

    return RdpAccountant([*range(2, 65), 80, 96, 128, 192, 256, 512, 1024])


def loss_distribution() -> Any:
    """Return an accountant of the privacy loss's distribution: ε as small as it really is, but for rounding upwards.

    Source: Koskela, Jälkö, Honkela 2020 (1906.03049).
    """
    from dp_accounting.pld import PLDAccountant

    return PLDAccountant()


def epsilon(*, sigma: float, q: float, steps: int, delta: float, accountant: Accountant = renyi) -> float:
    """Return ε such that `steps` noisy means together are (ε, δ)-private, for one contribution more or less.

    Args:
        sigma: noise multiplier; the noise has deviation σC and C bounds a contribution.
        q: chance of a contribution to be in a step, drawn anew for each (Poisson sampling); 1 if all always are.
        accountant: `renyi`, or `loss_distribution` for the tighter number.

    Raises:
        ValueError: a number out of its range.
    """
    _refuse(q, steps, delta)
    if not 0 < sigma < math.inf:
        raise ValueError(f"sigma is {sigma!r}; without noise there is no finite ε: give a noise multiplier > 0")
    spent = accountant()
    spent.compose(_step(sigma, q), steps)
    return float(spent.get_epsilon(delta))


def sigma_for(*, epsilon: float, q: float, steps: int, delta: float, accountant: Accountant = renyi) -> float:
    """Return the smallest noise multiplier σ (to 10⁻⁴) with which `steps` noisy means are (ε, δ)-private.

    Raises:
        ValueError: a number out of its range.
    """
    import dp_accounting

    _refuse(q, steps, delta)
    if not 0 < epsilon < math.inf:
        raise ValueError(f"epsilon is {epsilon!r}; the budget must be a finite number > 0 (1 to 8 are common)")
    return float(
        dp_accounting.calibrate_dp_mechanism(
            accountant,
            lambda sigma: dp_accounting.SelfComposedDpEvent(_step(sigma, q), steps),
            epsilon,
            delta,
            tol=1e-4,
        )
    )


def _step(sigma: float, q: float) -> Any:
    import dp_accounting

    return dp_accounting.PoissonSampledDpEvent(q, dp_accounting.GaussianDpEvent(sigma))


def _refuse(q: float, steps: int, delta: float) -> None:
    if not 0 < q <= 1:
        raise ValueError(f"q is {q!r}; the chance of a contribution to be in a step must lie in (0, 1]")
    refuse_unless_whole("steps", steps)
    if not 0 < delta < 1:
        raise ValueError(f"delta is {delta!r}; it must lie between 0 and 1, well below 1/(number of contributors)")
