"""Claims: equations that run.

A claim is a function that returns the two sides of an equation; the runner compares them, so a claim cannot be written
to check nothing. A misconception is the tempting false neighbour of a claim: it must fail, clearly, on the same cases.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Literal

from torch import Tensor

from lorabook.claims.case import SHAPES, Case

Relation = Literal["=", "<=", "~"]

SIGMAS = 5.0
"""A law in expectation is missed when estimate and prediction differ by more than this many standard errors."""
PRECISION = 0.1
"""… and counts as measured only if the standard error is at most this share of the prediction."""
CLEARLY = 1e-3
"""A misconception fails clearly when its relative gap is above this on at least one case."""


class ClaimNotReproduced(AssertionError):
    """A claim that should hold does not, or a misconception that should fail holds."""


@dataclass(frozen=True)
class Claim:
    """A statement, and the function that computes its two sides for a case.

    `relation` is "=" (equal within `tol`, relative to the larger side), "<=" (elementwise), or "~" (a law in
    expectation; the function returns estimate, prediction, standard error of the estimate). `when` is the condition
    that a statement in circulation leaves out, and under which it holds.
    """

    sides: Callable[[Case], tuple[Tensor, ...]]
    statement: str
    source: str
    relation: Relation = "="
    tol: float = 1e-9
    cases: tuple[Case, ...] = SHAPES
    when: str = ""
    misconception_of: "Claim | None" = None

    @property
    def name(self) -> str:
        return self.sides.__name__

    @property
    def module(self) -> str:
        return self.sides.__module__

    @property
    def about(self) -> str:
        """The variant or topic that the claim belongs to: what its folder declares as ABOUT."""
        return about(self.module)

    @property
    def kind(self) -> str:
        """What the claim says of its statement: it holds, holds if `when` is so, or is false."""
        return "false" if self.is_misconception else "holds if" if self.when else "holds"

    @property
    def is_misconception(self) -> bool:
        return self.misconception_of is not None

    def __call__(self, case: Case) -> tuple[Tensor, ...]:
        return self.sides(case)


@dataclass(frozen=True)
class Verdict:
    """What came out: the relative gap on each case, and whether that is what should come out."""

    claim: Claim
    gaps: tuple[float, ...]
    sides: tuple[Tensor, ...] = field(repr=False)

    @property
    def holds(self) -> bool:
        return max(self.gaps) <= self.claim.tol

    @property
    def reproduced(self) -> bool:
        return max(self.gaps) > max(CLEARLY, 100 * self.claim.tol) if self.claim.is_misconception else self.holds


def claim(
    *, statement: str, source: str, relation: Relation = "=", tol: float = 1e-9, cases: tuple[Case, ...] = SHAPES,
    when: str = "",
) -> Callable[[Callable], Claim]:  # fmt: skip
    """Declare a true statement: LaTeX `statement`, where it comes from, and `when` it holds if that is not always.

    Raises:
        ValueError: a tolerance that would let anything pass.
    """
    if not 0 <= tol <= 0.05:
        raise ValueError(f"tol is {tol!r}; a claim that allows more than 5% says nothing: a law has the relation '~'")
    if relation not in ("=", "<=", "~"):
        raise ValueError(f"relation is {relation!r}; it must be '=', '<=' or '~'")
    return lambda sides: Claim(sides, statement, source, relation, tol, tuple(cases), when)


def misconception(*, of: Claim, statement: str, source: str) -> Callable[[Callable], Claim]:
    """Declare the false neighbour of a claim. It runs on the claim's own cases, and must fail there."""
    return lambda sides: replace(of, sides=sides, statement=statement, source=source, when="", misconception_of=of)


def examine(claim: Claim) -> Verdict:
    """Compute both sides on every case and return the gaps. The stored sides are those of the widest gap.

    Raises:
        ClaimNotReproduced: a side is not finite, shapes differ, or both sides are zero everywhere.
        TypeError: what is given is no claim.
    """
    if not isinstance(claim, Claim):
        raise TypeError(
            f"{getattr(claim, '__name__', repr(claim))} is a {type(claim).__name__}, and a claim is asked for: a "
            "function under @claim or @misconception; discover() of lorabook.claims.claim lists the book's"
        )
    results = [(_gap(claim, claim(case)), case) for case in claim.cases]
    worst = max(results, key=lambda result: result[0])[1]
    return Verdict(claim, tuple(gap for gap, _ in results), claim(worst))


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


def _gap(claim: Claim, sides: tuple[Tensor, ...]) -> float:
    """Return how far the sides are from their relation; comparable with `tol`."""
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


def about(module: str) -> str:
    """Return what a module's folder, or outside the package the module itself, declares as ABOUT.

    Raises:
        LookupError: neither declares it.
    """
    for name in filter(None, (module, module.rpartition(".")[0])):
        if "ABOUT" in (names := vars(importlib.import_module(name))):
            return names["ABOUT"]
    raise LookupError(f"what is {module} about? Write ABOUT = 'its variant' in it, or in its folder's __init__")


def discover(package: str = "lorabook") -> list[Claim]:
    """Return every claim and misconception in the package, in the order of modules and of the lines in them.

    A misconception follows its claim.
    """
    found: list[Claim] = []
    for module in idea_modules(package):
        here = [v for v in vars(module).values() if isinstance(v, Claim) and v.module == module.__name__]
        found += sorted(here, key=lambda c: c.sides.__code__.co_firstlineno)
    return found


def idea_modules(package: str) -> Iterator[ModuleType]:
    """Give every module of the package, imported, in the order of names."""
    root = importlib.import_module(package)
    for info in sorted(pkgutil.walk_packages(root.__path__, f"{package}."), key=lambda info: info.name):
        if not info.name.endswith("__main__") and ".offline" not in info.name:
            yield importlib.import_module(info.name)
