"""The runner: it computes both sides of a claim on every case, measures the gap between them, and gives the verdict."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from lorabook.claims.claim import Claim, Relation

SIGMAS = 5.0
"""A law in expectation is missed when estimate and prediction differ by more than this many standard errors."""
PRECISION = 0.1
"""… and counts as measured only if the standard error is at most this share of the prediction."""
CLEARLY = 1e-3
"""A misconception fails clearly when its relative gap is above this on at least one case."""


class ClaimNotReproduced(AssertionError):
    """A claim that should hold does not, or a misconception that should fail holds."""


@dataclass(frozen=True)
class Verdict:
    """What came out: the gap on each case, the sides of one, and whether that is what should come out.

    The sides are those of the widest gap, or of the first case where none is wider than the claim allows: which of them
    is the widest is then a matter of rounding.
    """

    claim: Claim
    gaps: tuple[float, ...]
    sides: tuple[Tensor, ...] = field(repr=False)

    @property
    def holds(self) -> bool:
        """Whether the relation holds on every case."""
        return max(self.gaps) <= self.claim.tol

    @property
    def reproduced(self) -> bool:
        """Whether a claim holds, or a misconception clearly fails."""
        return max(self.gaps) > max(CLEARLY, 100 * self.claim.tol) if self.claim.is_misconception else self.holds


def examine(claim: Claim) -> Verdict:
    """Compute both sides once on every case and return the gaps; torch's own generator is as before afterwards.

    Raises:
        ClaimNotReproduced: a side is not finite, shapes differ, or both sides are zero everywhere.
        TypeError: what is given is no claim.
    """
    if not isinstance(claim, Claim):
        raise TypeError(
            f"{getattr(claim, '__name__', repr(claim))} is a {type(claim).__name__}, and a claim is asked for: a "
            "function under @claim or @misconception; discover() of lorabook.claims.discovery lists the book's"
        )
    gaps: list[float] = []
    widest: tuple[Tensor, ...] = ()
    for case in claim.cases:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # what a layer draws when it is made is the same on every call
            sides = claim(case)
        gaps.append(gap(claim, sides))
        if not widest or gaps[-1] > max(claim.tol, *gaps[:-1]):
            # Detached: a card that stays in a notebook must not keep what the sides were computed from.
            widest = tuple(side.detach() for side in sides)
    return Verdict(claim, tuple(gaps), widest)


def verify(claim: Claim) -> Verdict:
    """Return the verdict on a claim or a misconception.

    Raises:
        ClaimNotReproduced: a claim that does not hold, or a misconception that does.
    """
    verdict = examine(claim)
    if not verdict.reproduced:
        fault = "holds, and it is listed as false" if claim.is_misconception else "does not hold"
        gaps = ", ".join(f"{gap:.1e}" for gap in verdict.gaps)
        raise ClaimNotReproduced(
            f"{claim.module}.{claim.name} {fault}: gaps {gaps} against {claim.tol:.0e} ({claim.source})"
        )
    return verdict


def gap(claim: Claim, sides: tuple[Tensor, ...]) -> float:
    """Return how far the sides are from their relation; comparable with `tol`.

    Raises:
        ClaimNotReproduced: the sides show nothing: see `examine`, and a standard error that is missing or too large.
    """
    if len(sides) != (3 if claim.relation == "~" else 2):
        raise ClaimNotReproduced(f"{claim.name} returned {len(sides)} sides; '{claim.relation}' takes two, '~' three")
    left, right = sides[0].detach().double(), sides[1].detach().double()
    if left.shape != right.shape:
        raise ClaimNotReproduced(f"{claim.name}: the sides have shapes {tuple(left.shape)} and {tuple(right.shape)}")
    if not (left.isfinite().all() and right.isfinite().all()):
        if claim.is_misconception:
            return float("inf")
        raise ClaimNotReproduced(f"{claim.name}: a side is not finite")
    if not (left.any() or right.any()):
        raise ClaimNotReproduced(f"{claim.name}: both sides are zero everywhere, which shows nothing")
    if claim.relation == "~":
        _refuse_unmeasured(claim, right, sides[2].detach().double())
    return max(0.0, apart(claim.relation, sides).max().item())


def apart(relation: Relation, sides: tuple[Tensor, ...]) -> Tensor:
    """Return how far each entry is from the relation, in the unit of `tol`: of the larger side, or of the law for "~".

    Entries that keep a bound are at 0 or below.
    """
    left, right, *error = (side.detach().double() for side in sides)
    if relation == "~":
        return ((left - right).abs() - SIGMAS * error[0]) / right.abs().clamp_min(1e-300)
    size = max(left.abs().max().item(), right.abs().max().item())
    return ((left - right).abs() if relation == "=" else left - right) / size


def _refuse_unmeasured(claim: Claim, prediction: Tensor, error: Tensor) -> None:
    if not (error > 0).all():
        raise ClaimNotReproduced(f"{claim.name}: a standard error is zero or less; estimate it from independent draws")
    if not claim.is_misconception and (error > PRECISION * prediction.abs()).any():
        raise ClaimNotReproduced(f"{claim.name}: the standard error is above {PRECISION:.0%} of the law: draw more")
